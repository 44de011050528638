//! Decisions: paths, commands, permissions, redaction.
