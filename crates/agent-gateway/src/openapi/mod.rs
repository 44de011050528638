//! The OpenAPI document: made from the table of routes and from the very types that are read and written, so that it
//! can't promise anything else.

mod agent;
mod document;
mod gateway;
mod operation;
mod operations;

use std::sync::OnceLock;

use bytes::Bytes;

use crate::answer::{Answer, content};

/// The document as an answer. It is made at the first question and kept: it does not change while the program runs.
pub(crate) fn answer(version: &'static str) -> Answer {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| document::document(version).to_string().into());
    content("application/json", document.clone())
}
