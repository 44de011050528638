//! What a reply cost.
