//! What keeps the agent running for weeks: [`health`].
//!
//! Knows nothing of the agent loop; it is given handles to check.

pub mod health;
