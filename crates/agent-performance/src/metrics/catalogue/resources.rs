//! Pools, tracked resources and cleanup.

use super::Declaration;

pub(super) const ROWS: &[Declaration] = &[];
