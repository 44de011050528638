//! The folder that an agent works in.
