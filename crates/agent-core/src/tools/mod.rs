//! The built-in tools and what runs them.
