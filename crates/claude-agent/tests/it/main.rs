//! The built binary, used as a person or a script would, against the simulator on loopback.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests start processes, read small files and stop at the first surprise"
)]

mod badinput;
mod chat;
mod compatibility;
mod config;
mod demo;
mod documents;
mod faults;
mod kill;
mod metrics;
mod openapi;
mod private_state;
mod prometheus;
mod run;
mod serve;
mod sessions;
mod simulate;
mod support;
mod terminal;
mod web;
