//! Runs Claude as an agent: fast, small, observable and safe.
