//! Bytes to events, events to a message.
