//! What guards, macros, spans and readers record.

mod guard;
mod runtime;
mod system;
