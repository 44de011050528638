//! What each model can hold.
