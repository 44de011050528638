//! What every test here needs: a scripted API, tools whose timing is known, and an agent made of real parts.

pub(crate) mod fixture;
pub(crate) mod server;
pub(crate) mod tools;
