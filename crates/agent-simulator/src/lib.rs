//! A Messages API server of its own, for demos, tests, benchmarks and rehearsals: no key, no network, no model.
//!
//! [`Simulator::bind`] starts one. It checks requests and words its refusals as the real API does, answers as JSON or
//! as a stream, counts tokens, keeps a prompt cache and rate limits, and everything it says follows from its seed
//! and the requests in their order. It shares no code with the client crate: what both got wrong in the same way
//! would pass every test.
//!
//! # Who answers
//!
//! A request is first checked, then struck by [faults](FaultSpec), then answered by the next step of a
//! [`Scenario`], and without one by the *mind*: a planner with rules that reads plain English tasks ("find every TODO, then
//! replace 'Helo' with 'Hello' in hello.py"), calls the tools that the request offers and reports what they really
//! returned. It keeps no state: all it knows stands in the conversation.
//!
//! # Scenario files
//!
//! ```toml
//! description = "for people"    # optional
//! exhausted = "mind"            # who answers when no step is left: "mind" (default), or "refuse" with a 400
//!
//! [[steps]]                     # the first step that is left and matches answers
//! match.contains = "hello"      # optional: in the text of the last user message that has any
//! match.request = 1             # optional: only the nth valid request, from 1
//! times = 1                     # how many requests it answers; default 1
//! thinking = "…"                # sent when the request has thinking on
//! text = "…"
//! tool_calls = [{ name = "read_file", input = { path = "a.txt" } }]
//! stop_reason = "end_turn"      # default: tool_use with calls, else end_turn
//! usage = { output_tokens = 7 } # takes the place of what was counted
//!
//! [[steps]]                     # content block by block; kinds that are not known go out as they are
//! blocks = [{ type = "text", text = "…" }, { type = "hologram", frames = 3 }]
//!
//! [[steps]]
//! error = { status = 429, type = "rate_limit_error", message = "…", retry_after = "1s" }
//!
//! [[steps]]                     # any fault, alone (the mind answers) or with content
//! fault = "reset-mid"
//! ```
//!
//! Keys that are not known are errors that name file and line. An attempt that one of the simulator's own faults
//! breaks uses up no step, so that the retry gets it; a step's own fault belongs to the step.
//!
//! # Faults
//!
//! `NAME[=ARGUMENT][*COUNT][@PROBABILITY]`, as `status=529*2`; [`FaultSpec::all`] lists them. They strike valid
//! `POST /v1/messages` only.

mod answer;
mod cache;
mod config;
mod conversation;
mod digest;
mod error;
mod fault;
mod latency;
mod limits;
mod mind;
mod models;
mod scenario;
mod server;
mod tokens;
mod units;
mod validate;

pub use config::{Exposure, SimulatorConfig};
pub use error::SimulatorError;
pub use fault::{Fault, FaultError, FaultHelp, FaultSpec, MAX_HUGE_EVENT};
pub use latency::{Latency, MAX_LATENCY};
pub use limits::RateLimits;
pub use models::ModelEntry;
pub use scenario::{Scenario, ScenarioError};
pub use server::{ReceivedRequest, Simulator};
pub use units::UnitError;

/// The API versions in use; they differ in what a request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    V2023_06_01,
    V2026_10_21,
}
