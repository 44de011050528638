//! Measuring, pooling, lifecycle: what keeps the agent fast, small and stoppable.
//!
//! * [`lifecycle`]: every task has a name, an owner and an end.
//! * [`connection_pool`]: HTTP connections that are limited, reused and counted.
//!
//! Nothing here knows of Claude, of tools or of sessions.

pub mod connection_pool;
pub mod lifecycle;
