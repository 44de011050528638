//! The few fields of a request that are read, out of a body that is checked but never built into a tree.

mod fields;
mod json;
mod skip;

pub(super) use fields::Fields;
pub(super) use json::{Invalid, is_object};
