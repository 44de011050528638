//! What every test here needs: a scripted API, tools whose timing is known, and an agent made of real parts.

pub mod fixture;
pub mod server;
pub mod tools;
