//! Turns of real parts.
