//! A Messages API server with scripted answers and injectable faults.
