//! The simulator over real sockets, seen by a client that shares no code with it.

mod client;
mod endpoints;
mod faults;
mod streams;
