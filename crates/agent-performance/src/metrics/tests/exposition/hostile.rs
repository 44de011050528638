//! Names and tags that nobody should use.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::reading::Page;
use crate::metrics::exposition::{self, Format};
use crate::metrics::{MetricUnit, MetricsCollector};

/// Short texts of few characters, so that names meet, among them those that mean something in the formats.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a._\\-é0\"\\\\{},= \n]{0,3}",
        1 => prop_oneof![Just("le"), Just("x_total"), Just("x"), Just("x_count"), Just("x_bucket"), Just("__name__")]
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn unit() -> impl Strategy<Value = MetricUnit> {
    prop_oneof![
        Just(MetricUnit::Milliseconds),
        Just(MetricUnit::Seconds),
        Just(MetricUnit::Bytes),
        Just(MetricUnit::Kilobytes),
        Just(MetricUnit::Percentage),
        Just(MetricUnit::Rate),
        Just(MetricUnit::Count),
    ]
}

proptest! {
    #[test]
    fn no_name_and_no_tag_breaks_the_page(
        recorded in vec((name(), btree_map(name(), name(), 0..4), 0..3, unit(), any::<f64>()), 0..40)
    ) {
        let collector = MetricsCollector::new();
        for (name, tags, kind, unit, value) in &recorded {
            let tags: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (&**key, &**value)).collect();
            match kind {
                0 => collector.counter(name, tags.as_slice()).add(*value),
                1 => collector.gauge(name, *unit, tags.as_slice()).set(*value),
                _ => collector.histogram(name, *unit, tags.as_slice()).record(*value),
            }
        }
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let page = Page::read(&exposition::write_within(&collector, format, usize::MAX), format);
            prop_assert_eq!(page.series, collector.series_count() + 4, "every series is there, and four of the collector's");
        }
    }
}
