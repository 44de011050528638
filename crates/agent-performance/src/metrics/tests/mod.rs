//! The collector's promises.
