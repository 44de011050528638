//! The relay against upstreams that are scripted byte by byte, and against the simulator with its faults.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests: a failure is a panic, and tasks end with their runtime"
)]

mod breaks;
mod bytes;
mod caching;
mod handover;
mod rig;
mod simulated;
mod streams;
mod upstream;
mod wire;
