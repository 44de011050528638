//! The agent from outside: real client, real store, real loop, against a scripted API.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test by panicking")]

mod answers;
mod approvals;
mod cancelling;
mod compaction;
mod distrust;
mod invariants;
mod leaking;
mod limits;
mod measuring;
mod resuming;
mod support;
mod tool_calls;
