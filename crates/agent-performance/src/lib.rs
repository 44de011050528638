//! Measuring, pooling, lifecycle: what keeps the agent fast, small and stoppable.
//!
//! * [`lifecycle`]: every task has a name, an owner and an end.
//! * [`connection_pool`]: HTTP connections that are limited, reused and counted.
//! * [`metrics`]: recording, keeping and reading back measurements.
//! * [`instrumentation`]: measuring code with one line; figures of the process and its machine.
//! * [`memory`]: pooled buffers and tracked resources.
//! * [`cleanup`]: giving back what is no longer needed, and answering memory pressure.
//! * [`cache`]: a bounded cache of complete responses.
//! * [`clock`]: the time that they go by, which a test can move.
//! * [`shared`]: what several replicas share through Redis or Valkey.
//!
//! Nothing here knows of Claude, of tools or of sessions.

pub mod cache;
pub mod cleanup;
pub mod clock;
pub mod connection_pool;
pub mod instrumentation;
pub mod lifecycle;
pub mod memory;
pub mod metrics;
pub mod shared;
