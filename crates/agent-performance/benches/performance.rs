//! The measurements of this crate.
fn main() {}
