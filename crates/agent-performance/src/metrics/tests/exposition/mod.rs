//! What Prometheus is given.

mod hostile;
mod reading;
mod real;

use std::time::Duration;

use super::with_clock;
use crate::metrics::exposition::{self, Format};
use crate::metrics::{MetricUnit, MetricsCollector, MetricsConfig, NO_TAGS};
use reading::Page;

/// A counter, two gauges, a share and a histogram, with and without tags.
fn filled() -> MetricsCollector {
    let (collector, _) = with_clock();
    collector
        .counter("claude.requests", &[("endpoint", "messages"), ("outcome", "ok")])
        .increment(3);
    collector
        .counter("agent_cost_usd_total", &[("gen_ai.request.model", "a\\b\"c")])
        .add(0.25);
    collector
        .gauge("process.memory_rss", MetricUnit::Bytes, NO_TAGS)
        .set(4096.0);
    collector
        .gauge("process.cpu.time", MetricUnit::Seconds, NO_TAGS)
        .set(1.5);
    collector
        .gauge("pool.hit_rate", MetricUnit::Percentage, NO_TAGS)
        .set(62.5);
    let lag = collector.duration("runtime.event_loop_lag", NO_TAGS);
    lag.record(Duration::from_micros(250));
    lag.record(Duration::from_millis(750));
    collector
}

#[test]
fn the_text_for_prometheus_is_as_its_format_says() {
    let text = exposition::prometheus(&filled());
    let expected = r##"# HELP metrics_series Series that exist
# TYPE metrics_series gauge
metrics_series 6
# HELP metrics_series_overflowed_total Recordings and handles under names and tags that got no series because there were too many
# TYPE metrics_series_overflowed_total counter
metrics_series_overflowed_total 0
# HELP metrics_values_refused_total Values that were not finite, or negative for a counter
# TYPE metrics_values_refused_total counter
metrics_values_refused_total 0
# HELP agent_cost_usd_total US dollars spent, by the price table of the release
# TYPE agent_cost_usd_total counter
agent_cost_usd_total{gen_ai_request_model="a\\b\"c"} 0.25
# HELP claude_requests_total Requests, retries not counted; `outcome` is `ok`, `error` or `cancelled`
# TYPE claude_requests_total counter
claude_requests_total{endpoint="messages",outcome="ok"} 3
# HELP pool_hit_rate_ratio Share of requests for a buffer that an idle one served, since the start
# TYPE pool_hit_rate_ratio gauge
pool_hit_rate_ratio 0.625
# HELP process_cpu_seconds_total Processor time that the process used since its start
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
# HELP process_resident_memory_bytes Resident memory of the process
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4096
# HELP runtime_event_loop_lag_seconds How much later than asked a timer of the runtime fired
# TYPE runtime_event_loop_lag_seconds histogram
runtime_event_loop_lag_seconds_bucket{le="0.0001"} 0
runtime_event_loop_lag_seconds_bucket{le="0.0005"} 1
runtime_event_loop_lag_seconds_bucket{le="0.001"} 1
runtime_event_loop_lag_seconds_bucket{le="0.0025"} 1
runtime_event_loop_lag_seconds_bucket{le="0.005"} 1
runtime_event_loop_lag_seconds_bucket{le="0.01"} 1
runtime_event_loop_lag_seconds_bucket{le="0.02"} 1
runtime_event_loop_lag_seconds_bucket{le="0.04"} 1
runtime_event_loop_lag_seconds_bucket{le="0.08"} 1
runtime_event_loop_lag_seconds_bucket{le="0.16"} 1
runtime_event_loop_lag_seconds_bucket{le="0.32"} 1
runtime_event_loop_lag_seconds_bucket{le="0.64"} 1
runtime_event_loop_lag_seconds_bucket{le="1.28"} 2
runtime_event_loop_lag_seconds_bucket{le="2.56"} 2
runtime_event_loop_lag_seconds_bucket{le="5.12"} 2
runtime_event_loop_lag_seconds_bucket{le="10.24"} 2
runtime_event_loop_lag_seconds_bucket{le="20.48"} 2
runtime_event_loop_lag_seconds_bucket{le="40.96"} 2
runtime_event_loop_lag_seconds_bucket{le="81.92"} 2
runtime_event_loop_lag_seconds_bucket{le="163.84"} 2
runtime_event_loop_lag_seconds_bucket{le="327.68"} 2
runtime_event_loop_lag_seconds_bucket{le="655.36"} 2
runtime_event_loop_lag_seconds_bucket{le="+Inf"} 2
runtime_event_loop_lag_seconds_sum 0.75025
runtime_event_loop_lag_seconds_count 2
# HELP metrics_left_out Series for which the text for Prometheus had no room; only in that text
# TYPE metrics_left_out gauge
metrics_left_out 0
"##;
    assert_eq!(text, expected);
}

#[test]
fn openmetrics_names_counters_and_units_its_own_way_and_ends() {
    let text = exposition::openmetrics(&filled());
    for line in [
        "# TYPE claude_requests counter\n",
        "claude_requests_total{endpoint=\"messages\",outcome=\"ok\"} 3\n",
        "# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\nprocess_cpu_seconds_total 1.5\n",
        "# UNIT pool_hit_rate_ratio ratio\n",
        "runtime_event_loop_lag_seconds_bucket{le=\"0.0001\"} 0\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("\nmetrics_left_out 0\n# EOF\n"));
    let tokens = with_clock().0;
    tokens
        .histogram("gen_ai.client.token.usage", MetricUnit::Count, NO_TAGS)
        .record(5.0);
    let (text, classic) = (exposition::openmetrics(&tokens), exposition::prometheus(&tokens));
    assert!(
        text.contains("gen_ai_client_token_usage_bucket{le=\"4.0\"} 0\n"),
        "{text}"
    );
    assert!(text.contains("_bucket{le=\"6.7108864e+07\"} 1\n"), "{text}");
    assert!(
        classic.contains("gen_ai_client_token_usage_bucket{le=\"4\"} 0\n"),
        "{classic}"
    );
}

#[test]
fn what_does_not_fit_is_left_out_whole_and_counted() {
    let collector = MetricsCollector::new();
    for n in 0..1_000 {
        let n = n.to_string();
        collector
            .histogram("load", MetricUnit::Seconds, &[("n", n.as_str())])
            .record(1.0);
    }
    const MOST: usize = 100 * 1024;
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = exposition::write_within(&collector, format, MOST);
        assert!(text.len() <= MOST, "{}", text.len());
        let page = Page::read(&text, format);
        let told = page.value("metrics_left_out");
        let there = page
            .samples
            .iter()
            .filter(|sample| sample.name == "load_seconds_count")
            .count();
        assert!(there > 10, "{there}");
        assert_eq!(told, 1_000.0 - there as f64);
        // Nothing fits: the page is still a page.
        let text = exposition::write_within(&collector, format, 0);
        let page = Page::read(&text, format);
        assert_eq!(page.value("metrics_left_out"), 1_000.0);
        assert_eq!(page.families, 4);
    }
}

#[test]
fn series_beyond_the_cap_are_told_as_overflow() {
    let collector = MetricsCollector::with_config(MetricsConfig {
        max_series: 1,
        ..MetricsConfig::default()
    });
    collector.counter("one", NO_TAGS).increment(1);
    collector.counter("two", NO_TAGS).increment(1);
    let page = Page::read(&exposition::prometheus(&collector), Format::Prometheus);
    assert_eq!(page.value("metrics_series_overflowed_total"), 1.0);
    assert_eq!(page.value("metrics_overflow_count"), 1.0);
}

#[test]
fn pages_are_true_while_others_record() {
    const RECORDINGS: u64 = 20_000;
    let collector = MetricsCollector::new();
    std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..2)
            .map(|_| {
                let (samples, count) = (
                    collector.duration("gen_ai.execute_tool.duration", NO_TAGS),
                    collector.counter("agent.turns", NO_TAGS),
                );
                scope.spawn(move || {
                    for n in 0..RECORDINGS {
                        samples.record(Duration::from_millis(n % 100));
                        count.increment(1);
                    }
                })
            })
            .collect();
        let mut last = 0.0;
        while !recorders.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            // Reading checks that buckets rise and agree with the count.
            let page = Page::read(&exposition::openmetrics(&collector), Format::OpenMetrics);
            let count = page.value("gen_ai_execute_tool_duration_seconds_count");
            assert!(count >= last, "{count} after {last}");
            last = count;
        }
    });
    let page = Page::read(&exposition::prometheus(&collector), Format::Prometheus);
    let all = 2.0 * RECORDINGS as f64;
    assert_eq!(page.value("gen_ai_execute_tool_duration_seconds_count"), all);
    assert_eq!(page.value("agent_turns_total"), all);
}
