//! What declared metrics are called by whoever scrapes them.

use std::time::Duration;

use crate::metrics::MetricsCollector;
use crate::metrics::catalogue::find;
use crate::metrics::exposition::{prometheus, sample_names};
use crate::metrics::tags::NO_TAGS;

fn names(name: &str) -> Vec<String> {
    sample_names(find(name).expect("declared"))
}

#[test]
fn a_declared_name_is_told_as_it_is_scraped() {
    assert_eq!(names("process.memory_rss"), ["process_resident_memory_bytes"]);
    assert_eq!(names("process.cpu.time"), ["process_cpu_seconds_total"]);
    assert_eq!(names("agent_cost_usd_total"), ["agent_cost_usd_total"]);
    assert_eq!(names("health.score"), ["health_score_ratio"]);
    assert_eq!(
        names("timing.load"),
        [
            "timing_{operation}_seconds_bucket",
            "timing_{operation}_seconds_count",
            "timing_{operation}_seconds_sum"
        ]
    );
}

#[test]
fn the_text_holds_exactly_these_names() {
    let collector = MetricsCollector::new();
    collector
        .duration("store.write.commit", NO_TAGS)
        .record(Duration::from_millis(3));
    collector.counter("agent.turns", NO_TAGS).increment(1);
    let text = prometheus(&collector);
    for name in [names("store.write.commit"), names("agent.turns")].concat() {
        let is_there = |line: &str| line.split(['{', ' ']).next() == Some(&name);
        assert!(text.lines().any(is_there), "{name}: {text}");
    }
}
