//! What a request asks for, parsed once: parameters of the query, bodies of JSON, texts of bounded length.
//!
//! The same declarations are what the OpenAPI document says, so that it can't promise anything else.

mod body;
mod number;
mod query;
mod text;
mod trace;

pub(crate) use body::{json_body, json_body_or_default};
pub(crate) use number::Number;
pub(crate) use query::{Kind, Parameter, Query};
pub(crate) use text::Text;
pub(crate) use trace::trace_of;
