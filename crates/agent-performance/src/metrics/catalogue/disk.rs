//! The disk budget.

use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::gauge(
        "disk.used",
        MetricUnit::Bytes,
        "What the program's files take, by what they are for",
        &["class"],
    ),
    Declaration::gauge(
        "disk.budget",
        MetricUnit::Bytes,
        "What they may take together",
        &[],
    ),
    Declaration::gauge(
        "disk.free",
        MetricUnit::Bytes,
        "What is free on the disk of the data folder",
        &[],
    ),
    Declaration::gauge(
        "disk.given_up",
        MetricUnit::Count,
        "How many kinds of writing are given up because the disk is nearly full",
        &[],
    ),
    Declaration::counter(
        "disk.refused",
        "Writes and beginnings that were refused for want of room",
        &["class"],
    ),
    Declaration::counter(
        "disk.reclaimed",
        "Bytes of old files that were removed to make room",
        &["class"],
    )
    .in_unit(MetricUnit::Bytes),
];
