//! The simulator over real sockets, seen by a client that shares no code with it.

#[cfg(test)]
mod client;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod streams;
