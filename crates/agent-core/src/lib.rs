//! The agent: loop, sessions, tools, permissions, compaction.
