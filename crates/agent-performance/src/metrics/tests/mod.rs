//! The collector's promises.

mod catalogue;
mod collector;
mod concurrency;
mod exposition;
mod facade;
mod names;
mod retention;
mod statistics;
mod tags;

use std::collections::HashMap;
use std::time::Duration;

use super::{MetricsCollector, MetricsConfig};
use crate::clock::{Clock, SimulatedTime};

/// Tags as the convenience level takes them.
fn map(tags: &[(&str, &str)]) -> HashMap<String, String> {
    tags.iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A collector with an hour's retention whose time stands still.
fn with_clock() -> (MetricsCollector, SimulatedTime) {
    let (clock, time) = Clock::simulated();
    (
        MetricsCollector::with_clock(MetricsConfig::default(), clock),
        time,
    )
}

const MINUTE: Duration = Duration::from_secs(60);
