//! Sessions in embedded SQLite.
