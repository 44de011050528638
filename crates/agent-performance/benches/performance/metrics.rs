//! Recording against the `metrics` facade with its Prometheus recorder, `prometheus-client` and the straightforward design;
//! and what many series, and many samples, take in memory.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::{Barrier, RwLock};
use std::time::{Duration, Instant};

use ::metrics::Label;
use agent_performance::clock::Clock;
use agent_performance::instrumentation::{SpanTimings, SystemMetrics};
use agent_performance::metrics::{
    Counter, FacadeRecorder, Histogram, MetricUnit, MetricsCollector, MetricsConfig, NO_TAGS, Timing,
    exposition,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::metrics::counter::Counter as ClientCounter;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tracing::Dispatch;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;

use super::support::{Figure, by_turns, print};

/// Recordings of a turn, for each thread.
const OPERATIONS: usize = 200_000;

/// Recordings of a turn by name and tags.
const LOOKUPS: usize = 50_000;

/// Samples of a turn of the straightforward design, whose cost grows with their square.
const STRAIGHTFORWARD: usize = 4_000;

/// Bounds of the other libraries' histograms: the conventions' fourteen.
const BOUNDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

pub(crate) fn run() {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&BOUNDS)
        .expect("there are bounds")
        .build_recorder();
    ::metrics::set_global_recorder(recorder).expect("this is the only recorder");
    // Before anything else has left memory behind that could be used again.
    memory_of_many_series();
    memory_of_many_samples();
    counters();
    histograms();
    by_name();
    straightforward();
    exposition();
    spans();
}

/// Runs `work` on each of `threads` threads at the same time.
fn on_threads(threads: usize, work: &(impl Fn() + Sync)) {
    if threads == 1 {
        return work();
    }
    let begin = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                begin.wait();
                work();
            });
        }
    });
}

/// Prints what one recording costs with either side, on so many threads.
fn compare(
    name: &'static str,
    (threads, operations): (usize, usize),
    most: f64,
    includes: &'static str,
    ours: impl Fn(usize) + Sync,
    theirs: impl Fn(usize) + Sync,
) {
    let (a, b) = by_turns(
        || on_threads(threads, &|| (0..operations).for_each(&ours)),
        || on_threads(threads, &|| (0..operations).for_each(&theirs)),
    );
    let nanoseconds = |seconds: f64| seconds * 1e9 / operations as f64;
    print(Figure {
        name,
        ours: nanoseconds(a),
        baseline: nanoseconds(b),
        unit: "ns",
        ratio: a / b,
        need: 0.0..=most,
        includes,
    });
}

fn counters() {
    let collector = MetricsCollector::new();
    let ours: Counter = collector.counter("requests", NO_TAGS);
    let facade = ::metrics::counter!("bench_requests");
    let client = ClientCounter::<u64>::default();
    let one = (1, OPERATIONS);
    let two = (2, OPERATIONS);
    let said = "one increment by 1 through a handle that was resolved before";
    let add = |_| black_box(&ours).increment(1);
    let facade = |_| black_box(&facade).increment(1);
    compare("counter handle, one thread: facade", one, 1.5, said, add, facade);
    compare("counter handle, two threads: facade", two, 1.0, said, add, facade);
    let client = |_| _ = black_box(&client).inc();
    compare(
        "counter handle, two threads: prometheus-client",
        two,
        1.5,
        said,
        add,
        client,
    );
}

fn histograms() {
    let collector = MetricsCollector::new();
    let ours: Histogram = collector.histogram("latency", MetricUnit::Milliseconds, NO_TAGS);
    let facade = ::metrics::histogram!("bench_latency");
    let client = ClientHistogram::new(BOUNDS);
    let value = |n: usize| (n % 977) as f64 * 0.37;
    let said =
        "one sample through a handle, filed with its time; the facade's waits for a scrape to be counted";
    let record = |n| ours.record(value(n));
    let facade = |n| facade.record(value(n));
    compare(
        "histogram sample, one thread: facade",
        (1, OPERATIONS),
        1.0,
        said,
        record,
        facade,
    );
    compare(
        "histogram sample, two threads: facade",
        (2, OPERATIONS),
        0.5,
        said,
        record,
        facade,
    );
    let said = "one sample through a handle; theirs counts buckets under a lock, without time or percentiles";
    let client = |n| client.observe(value(n));
    compare(
        "histogram sample, two threads: prometheus-client",
        (2, OPERATIONS),
        2.0,
        said,
        record,
        client,
    );
}

fn by_name() {
    let collector = MetricsCollector::new();
    let (model, tool) = (String::from("claude-opus-5-5"), String::from("read_file"));
    compare(
        "by name and tags, tags borrowed: facade's macro",
        (1, LOOKUPS),
        1.0,
        "finding the series by name and two tags, and one increment; the facade's tags are literals, its fastest form",
        |_| {
            collector.increment(
                "calls",
                &[("model", black_box(model.as_str())), ("tool", tool.as_str())],
                1,
            )
        },
        |_| {
            ::metrics::counter!("bench_calls", "model" => "claude-opus-5-5", "tool" => "read_file")
                .increment(1)
        },
    );
    compare(
        "by name and tags, tags owned: facade's macro",
        (1, LOOKUPS),
        1.0,
        "the same with tags made for the call: a HashMap of owned strings here, labels of owned strings there",
        |_| {
            let tags = HashMap::from([
                ("model".to_owned(), black_box(&model).clone()),
                ("tool".to_owned(), tool.clone()),
            ]);
            collector.record_counter("owned", 1.0, tags);
        },
        |_| {
            let tags = vec![
                Label::new("model".to_owned(), black_box(&model).clone()),
                Label::new("tool".to_owned(), tool.clone()),
            ];
            ::metrics::counter!("bench_owned", tags).increment(1);
        },
    );
}

/// Samples by series, with their time.
type Kept = RwLock<HashMap<String, Vec<(Instant, f64)>>>;

/// The design that comes to mind first: all samples by name, and each push drops what has expired.
fn straightforward() {
    let hour = Duration::from_secs(3600);
    let (a, b) = by_turns(
        || {
            let collector = MetricsCollector::new();
            let timing: Timing = collector.timing("load", NO_TAGS);
            (0..STRAIGHTFORWARD).for_each(|n| timing.record(Duration::from_micros(n as u64)));
            black_box(collector.get_metric_statistics("timing.load"));
        },
        || {
            let kept = Kept::default();
            for n in 0..STRAIGHTFORWARD {
                let mut kept = kept.write().expect("not poisoned");
                let samples = kept.entry("timing.load".to_owned()).or_default();
                let now = Instant::now();
                samples.push((now, n as f64));
                samples.retain(|(at, _)| now.duration_since(*at) < hour);
            }
            let kept = kept.read().expect("not poisoned");
            let mut values: Vec<f64> = kept["timing.load"].iter().map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            black_box(values[values.len() / 2]);
        },
    );
    let nanoseconds = |seconds: f64| seconds * 1e9 / STRAIGHTFORWARD as f64;
    print(Figure {
        name: "timing: a locked map of samples that expires on every push",
        ours: nanoseconds(a),
        baseline: nanoseconds(b),
        unit: "ns",
        ratio: b / a,
        need: 10.0..=f64::INFINITY,
        includes: "4,000 timings into one series from its beginning, and its statistics once, for each timing",
    });
}

/// What a span costs that becomes a timing.
fn spans() {
    let collector = MetricsCollector::new();
    let timed = Dispatch::new(tracing_subscriber::registry().with(SpanTimings::new(&collector).layer()));
    let everything = |metadata: &tracing::Metadata<'_>| metadata.is_span();
    let plain = tracing_subscriber::registry().with(Ignoring.with_filter(filter_fn(everything)));
    let plain = Dispatch::new(plain);
    let turn = |dispatch: &Dispatch| {
        tracing::dispatcher::with_default(dispatch, || {
            (0..LOOKUPS).for_each(|n| tracing::info_span!("bench_span", n).in_scope(|| _ = black_box(n)));
        });
    };
    let (a, b) = by_turns(|| turn(&timed), || turn(&plain));
    let nanoseconds = |seconds: f64| seconds * 1e9 / LOOKUPS as f64;
    print(Figure {
        name: "a span of tracing as a timing: the same span without",
        ours: nanoseconds(a),
        baseline: nanoseconds(b),
        unit: "ns",
        ratio: a / b,
        need: 0.0..=3.0,
        includes: "a span with a field made, entered, left and closed, and its time recorded; theirs with a layer that does \
                   nothing",
    });
}

/// A layer that does nothing.
struct Ignoring;

impl<S: tracing::Subscriber> Layer<S> for Ignoring {}

/// A scrape of as many series as there may be: half of them counters, a tenth histograms, the rest gauges.
fn exposition() {
    const SERIES: usize = 10_000;
    let collector = MetricsCollector::new();
    let recorder = PrometheusBuilder::new()
        .set_buckets(&BOUNDS)
        .expect("there are bounds")
        .build_recorder();
    let theirs = recorder.handle();
    let facade = FacadeRecorder::new(collector.clone());
    let fill = || {
        for n in 0..SERIES {
            let n_text = n.to_string();
            match n % 10 {
                0 => ::metrics::histogram!("bench_latency_seconds", "model" => "claude-opus-5-5", "n" => n_text)
                    .record(n as f64 * 0.01),
                1..=5 => ::metrics::counter!("bench_calls", "model" => "claude-opus-5-5", "n" => n_text)
                    .increment(n as u64),
                _ => ::metrics::gauge!("bench_level", "model" => "claude-opus-5-5", "n" => n_text)
                    .set(n as f64 * 0.25),
            }
        }
    };
    ::metrics::with_local_recorder(&facade, fill);
    ::metrics::with_local_recorder(&recorder, fill);
    let (a, b) = by_turns(
        || _ = black_box(exposition::prometheus(&collector)),
        || _ = black_box(theirs.render()),
    );
    print(Figure {
        name: "a scrape of 10,000 series: facade's Prometheus recorder",
        ours: a * 1e3,
        baseline: b * 1e3,
        unit: "ms",
        ratio: a / b,
        need: 0.0..=1.0,
        includes: "the whole text of 5,000 counters, 4,000 gauges and 1,000 histograms with 14 bounds (theirs) or 17 \
                   (ours) and two tags each, in a fixed order (ours) or none",
    });
}

/// Resident memory in bytes.
fn resident() -> f64 {
    let memory = SystemMetrics::new(Path::new(".")).memory();
    memory.resident.map_or(f64::NAN, |bytes| bytes as f64)
}

fn memory_of_many_series() {
    const SERIES: usize = 10_000;
    const MINUTES: usize = 60;
    let before = resident();
    let (clock, time) = Clock::simulated();
    let collector = MetricsCollector::with_clock(MetricsConfig::default(), clock);
    let tags: Vec<String> = (0..SERIES).map(|n| format!("value-{n}")).collect();
    let handles: Vec<Histogram> = tags
        .iter()
        .map(|tag| collector.histogram("load", MetricUnit::Milliseconds, &[("k", tag.as_str())]))
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut most = 0.0f64;
    // As many samples as are kept raw is where the raw ones take most; more of them, where the windows do.
    for each_minute in [16, 80] {
        for _ in 0..MINUTES {
            for handle in &handles {
                for _ in 0..each_minute {
                    // The sum of uniform variables in the exponent: about log-normal, over three orders of magnitude.
                    let exponent: f64 = (0..4).map(|_| rng.random_range(-1.0..1.0)).sum();
                    handle.record(20.0 * exponent.exp());
                }
            }
            time.advance(Duration::from_secs(60));
        }
        most = most.max(resident() - before);
    }
    assert_eq!(collector.series_count(), SERIES);
    let megabyte = 1e6;
    print(Figure {
        name: "memory of 10,000 series with an hour of retention",
        ours: most / megabyte,
        baseline: 200.0,
        unit: "MB",
        ratio: most / megabyte / 200.0,
        need: 0.0..=1.0,
        includes: "growth of resident memory after an hour of 960 samples a series, and after another of 4,800",
    });
}

fn memory_of_many_samples() {
    const SAMPLES: u32 = 1_000_000;
    let collector = MetricsCollector::new();
    let handle = collector.histogram("one", MetricUnit::Milliseconds, NO_TAGS);
    let fill = || (0..SAMPLES).for_each(|n| handle.record(f64::from(n % 10_007) * 0.01));
    fill();
    let before = resident();
    fill();
    let ours = resident() - before;
    let baseline = f64::from(SAMPLES) * size_of::<(u64, f64)>() as f64;
    print(Figure {
        name: "memory of a million more samples in one series",
        ours: ours / 1e6,
        baseline: baseline / 1e6,
        unit: "MB",
        ratio: ours / baseline,
        need: 0.0..=0.01,
        includes: "growth of resident memory, against a million numbers with their times",
    });
}
