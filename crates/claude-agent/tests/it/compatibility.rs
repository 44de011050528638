//! Other programs' clients, unchanged but for base URL and key, through the daemon to the simulator.
//!
//! The clients are the packages that people use, installed by `cargo xtask test`. A script for each says what it saw as JSON
//! (see `fixtures/clients/scripts`), and the prompts in it name the answers of `fixtures/scenarios/compatibility.toml`. Each
//! client gets a daemon and a simulator of its own, runs once, and is then looked at from every side.

mod anthropic;
mod claude_code;
pub(crate) mod client;
mod expect;
mod langchain;
mod limits;
mod llm;
pub(crate) mod rig;
mod vercel;
