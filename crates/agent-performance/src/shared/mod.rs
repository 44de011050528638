//! What several replicas share: a Redis or Valkey server.
//!
//! [`Shared`] is one supervised connection to it. Nothing waits for it at the start, no command takes longer than
//! [`SharedConfig::command_timeout`], and while it is down a command fails at once: a request pays for an outage only in
//! the moment in which it is found out. The connection comes back by itself. [`Shared::status`] says how it stands.
//!
//! What to do without it is the caller's decision ([`SharedError`] says only that it must be taken): a cache goes on from
//! its memory, a limit goes on alone or refuses.
//!
//! The server holds state that outlives a replica, not state that must outlive the server: it needs no persistence. It is
//! trusted as a store belonging to the operator, but what is read from it is checked like any other input.

mod config;
mod error;
mod link;
mod metrics;
mod script;
mod status;
mod store;
mod supervisor;

#[cfg(test)]
pub(crate) mod tests;

pub use config::{SharedConfig, SharedConfigError};
pub use error::SharedError;
pub use script::SharedScript;
pub use status::{SharedFailure, SharedState, SharedStatus};
pub use store::Shared;

pub(crate) use link::SharedEvent;
pub(crate) use store::{convert, millis};
