//! Measuring code with one line: guards, macros, a tracing layer, system figures.
