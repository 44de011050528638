//! The performance layer, as ratios of two measurements of one run: a figure alone says more about the machine.
//!
//! Prints one JSON object a line. A comparison that does not meet its need says so in `ok`; nothing fails here.

#[path = "performance/cache.rs"]
mod cache;
#[path = "performance/connections.rs"]
mod connections;
#[path = "performance/memory.rs"]
mod memory;
#[path = "performance/metrics.rs"]
mod metrics;
#[path = "performance/support.rs"]
mod support;

fn main() {
    metrics::run();
    cache::run();
    connections::run();
    memory::run();
}
