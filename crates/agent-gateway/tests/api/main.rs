//! The agent API, the operations endpoints and the OpenAPI document, over real connections to a running gateway whose agent
//! asks the simulated Messages API. Every answer that any of these tests gets is held against the document.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and own the tasks of their connections"
)]

mod approvals;
mod busy;
mod document;
mod health_switch;
mod operations;
mod promised;
mod rig;
mod sessions;
mod turns;
