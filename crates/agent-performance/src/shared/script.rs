use std::fmt;

/// A Lua script that the shared store runs as one step. It is sent whole once, and then by its hash.
pub struct SharedScript(pub(super) redis::Script);

impl SharedScript {
    /// Keys come as `KEYS`, numbers and text as `ARGV`.
    pub fn new(text: &str) -> Self {
        SharedScript(redis::Script::new(text))
    }
}

impl fmt::Debug for SharedScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedScript({})", self.0.get_hash())
    }
}
