//! The `claude-agent` command.
fn main() {}
