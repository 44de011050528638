//! What guards, macros, spans and readers record.

mod guard;
mod runtime;
#[cfg(target_os = "linux")]
mod system;
