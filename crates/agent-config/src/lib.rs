//! Configuration: sections, layers, validation, secrets, units.
