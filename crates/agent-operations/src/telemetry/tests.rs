//! Against a receiver that decodes with the published definitions, over real sockets.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_config::environment::Environment;
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::instrumentation::{SpanKind, SpanValue, Tracer, within};
use agent_performance::metrics::{MetricUnit, MetricsCollector, NO_TAGS};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::metrics::{requests, requests_of};
use super::{
    BATCH_WAIT, Collector, OtlpSettings, SentLine, Signal, push_logs, push_metrics, push_spans, resource,
};

/// What a receiver got: the head of the request in lower case, and the message.
type Got<M> = (String, M);

/// Answers each request with the next of `answers`, and the last one again and again.
async fn receiver<M: prost::Message + Default + 'static>(
    answers: Vec<(&'static str, Vec<u8>)>,
) -> (SocketAddr, mpsc::Receiver<Got<M>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, got) = mpsc::channel(64);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        let mut answers = answers.into_iter().peekable();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Some(request) = read(&mut stream).await {
                let (status, body) = match answers.len() {
                    1 => answers.peek().unwrap().clone(),
                    _ => answers.next().unwrap(),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
                stream
                    .write_all(&[head.as_bytes(), &body].concat())
                    .await
                    .unwrap();
                sender.send(request).await.unwrap();
            }
        }
    });
    (address, got)
}

async fn read<M: prost::Message + Default>(stream: &mut TcpStream) -> Option<Got<M>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap().to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap().parse().unwrap();
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        stream.read_buf(&mut body).await.unwrap();
    }
    if text.contains("content-encoding: gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*body)
            .read_to_end(&mut plain)
            .unwrap();
        body = plain;
    }
    Some((text, M::decode(&*body).unwrap()))
}

fn settings(address: SocketAddr, variables: &[(&str, &str)]) -> OtlpSettings {
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let environment = Environment::from_pairs(variables.iter().copied());
    OtlpSettings::of(Signal::Metrics, Some(&url), Duration::from_secs(1), &environment)
        .unwrap()
        .unwrap()
}

fn collector(settings: OtlpSettings) -> Collector {
    Collector::new(
        settings,
        Arc::new(HttpConnectionPool::new(ConnectionPoolConfig::default())),
    )
}

fn find<'a>(request: &'a ExportMetricsServiceRequest, name: &str) -> &'a Metric {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let found = metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {metrics:?}"))
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => format!("{number} as a number"),
        other => panic!("{key}: {other:?}"),
    }
}

fn figures() -> MetricsCollector {
    let figures = MetricsCollector::new();
    let tags = [
        ("gen_ai.request.model", "claude-opus-5-5"),
        ("server.port", "443"),
    ];
    let duration = figures.duration("gen_ai.client.operation.duration", &tags);
    for milliseconds in [5, 15, 15, 700_000] {
        duration.record(Duration::from_millis(milliseconds));
    }
    figures.increment("claude.requests", &[("outcome", "ok")], 3);
    figures.increment("claude.requests", &[("outcome", "error")], 1);
    figures.timing("load", NO_TAGS).record(Duration::from_millis(250));
    figures
        .gauge("health.score", MetricUnit::Percentage, NO_TAGS)
        .set(75.0);
    figures
        .gauge("process.cpu.time", MetricUnit::Seconds, NO_TAGS)
        .set(1.5);
    figures
}

fn resource_of(variables: &[(&str, &str)]) -> opentelemetry_proto::tonic::resource::v1::Resource {
    resource::of(&Environment::from_pairs(variables.iter().copied()))
}

#[test]
fn figures_become_what_the_definitions_say() {
    let all = requests(&figures().totals(), &resource_of(&[]));
    assert_eq!(all.len(), 1);
    let request = &all[0];
    let duration = find(request, "gen_ai.client.operation.duration");
    assert_eq!(duration.unit, "s");
    assert!(!duration.description.is_empty());
    let Some(metric::Data::Histogram(histogram)) = &duration.data else {
        panic!("{duration:?}")
    };
    assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
    let point = &histogram.data_points[0];
    assert_eq!(point.explicit_bounds.len() + 1, point.bucket_counts.len());
    assert_eq!(point.explicit_bounds[..2], [0.01, 0.02]);
    assert_eq!(point.bucket_counts[..3], [1, 2, 0]);
    assert_eq!(point.bucket_counts.last(), Some(&1));
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (4, 4));
    assert!((point.sum.unwrap() - 700.035).abs() < 1e-9);
    assert_eq!(text(&point.attributes, "gen_ai.request.model"), "claude-opus-5-5");
    assert_eq!(text(&point.attributes, "server.port"), "443 as a number");
    assert!(point.start_time_unix_nano > 0 && point.time_unix_nano >= point.start_time_unix_nano);

    let Some(metric::Data::Sum(sum)) = &find(request, "claude.requests").data else {
        panic!("a counter is a sum")
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2 && sum.data_points.len() == 2);
    assert_eq!(
        sum.data_points[1].value,
        Some(number_data_point::Value::AsDouble(3.0))
    );

    let load = find(request, "timing.load");
    let Some(metric::Data::Histogram(histogram)) = &load.data else {
        panic!("{load:?}")
    };
    assert_eq!(
        (load.unit.as_str(), histogram.data_points[0].sum),
        ("s", Some(0.25))
    );
    let score = find(request, "health.score");
    let Some(metric::Data::Gauge(gauge)) = &score.data else {
        panic!("{score:?}")
    };
    assert_eq!(
        (score.unit.as_str(), gauge.data_points[0].value),
        ("1", Some(number_data_point::Value::AsDouble(0.75)))
    );
    assert!(matches!(
        find(request, "process.cpu.time").data,
        Some(metric::Data::Sum(_))
    ));
}

#[test]
fn many_series_come_in_several_requests_and_none_is_lost() {
    let figures = MetricsCollector::new();
    for number in 0..2000 {
        figures.increment("claude.errors", &[("error.type", &*number.to_string())], 1);
    }
    let most = 10_000;
    let all = requests_of(&figures.totals(), &resource_of(&[]), most);
    assert!(all.len() > 5, "{}", all.len());
    let mut points = 0;
    for request in &all {
        assert!(request.encoded_len() < 4 * most, "{}", request.encoded_len());
        for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
            if let (Some(metric::Data::Sum(sum)), "claude.errors") = (&metric.data, &*metric.name) {
                points += sum.data_points.len();
            }
        }
    }
    assert_eq!(points, 2000);
}

#[test]
fn the_resource_says_who_sends_and_the_variables_win() {
    let plain = resource_of(&[]);
    assert_eq!(text(&plain.attributes, "service.name"), "claude-agent");
    let named = resource_of(&[
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a,deployment.environment.name=eu%2Cwest,=x,broken",
        ),
        ("OTEL_SERVICE_NAME", "b"),
    ]);
    assert_eq!(text(&named.attributes, "service.name"), "b");
    assert_eq!(text(&named.attributes, "deployment.environment.name"), "eu,west");
}

#[tokio::test]
async fn a_receiver_of_the_published_definitions_gets_the_figures_again_and_again() {
    let (address, mut got) = receiver::<ExportMetricsServiceRequest>(vec![("200 OK", Vec::new())]).await;
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "Authorization=Bearer%20opaque,x-tenant=a",
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    let settings = settings(address, &variables);
    let (figures, token) = (figures(), CancellationToken::new());
    let pushing = push_metrics(collector(settings), figures.clone(), token.clone());
    let watching = async {
        let (head, first) = got.recv().await.unwrap();
        assert!(head.starts_with("post /v1/metrics http/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(
            head.contains("authorization: bearer opaque") && head.contains("x-tenant: a"),
            "{head}"
        );
        find(&first, "claude.requests");
        figures.increment("agent.turns", NO_TAGS, 1);
        let (_, second) = got.recv().await.unwrap();
        find(&second, "agent.turns");
        figures.increment("agent.replays", NO_TAGS, 1);
        token.cancel();
        // The last ones are sent at the end, too.
        loop {
            let (_, last) = got.recv().await.unwrap();
            let metrics = &last.resource_metrics[0].scope_metrics[0].metrics;
            if metrics.iter().any(|metric| metric.name == "agent.replays") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(pushing, watching) })
        .await
        .unwrap();
    let sent = figures.get_metric_statistics_with_tags("telemetry.exports", &[("outcome", "ok")]);
    // One that was under way when it was told to end may count as neither.
    assert!(sent.unwrap().sum >= 2.0);
}

/// The warnings that are logged meanwhile.
async fn warnings_of(work: impl Future<Output = ()>) -> Vec<String> {
    use tracing::instrument::WithSubscriber as _;
    let written = Written::default();
    let to = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || to.clone())
        .finish();
    work.with_subscriber(subscriber).await;
    let text = String::from_utf8(written.0.lock().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[derive(Clone, Default)]
struct Written(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn pushes_for(time: Duration, settings: OtlpSettings, figures: &MetricsCollector) {
    let token = CancellationToken::new();
    let pushing = push_metrics(collector(settings), figures.clone(), token.clone());
    let ending = async {
        tokio::time::sleep(time).await;
        token.cancel();
    };
    tokio::join!(pushing, ending);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_for_an_hour_costs_a_warning_every_ten_minutes() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let (settings, figures) = (
        settings(closed, &[("OTEL_METRIC_EXPORT_INTERVAL", "60000")]),
        figures(),
    );
    let warnings = warnings_of(pushes_for(Duration::from_secs(3600), settings, &figures)).await;
    assert!((5..=7).contains(&warnings.len()), "{warnings:?}");
    assert!(
        warnings[0].contains("metrics do not reach the collector at http://127.0.0.1"),
        "{warnings:?}"
    );
    let failed = figures.get_metric_statistics_with_tags("telemetry.exports", &[("outcome", "failed")]);
    assert!((50.0..=70.0).contains(&failed.unwrap().sum), "{failed:?}");
}

#[tokio::test]
async fn what_a_receiver_says_is_heeded() {
    let partial = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points: 7,
            error_message: "too\nold".to_owned(),
        }),
    };
    for (answer, told) in [
        (("401 Unauthorized", Vec::new()), "it answered 401"),
        (
            (
                "307 Temporary Redirect\r\nlocation: http://elsewhere.invalid",
                Vec::new(),
            ),
            "it answered 307",
        ),
        (("200 OK", b"<html>hello".to_vec()), "no OTLP collector"),
        (
            ("200 OK", partial.encode_to_vec()),
            "it refused 7 of the figures: too old",
        ),
    ] {
        let (address, mut got) = receiver::<ExportMetricsServiceRequest>(vec![answer]).await;
        let figures = figures();
        let token = CancellationToken::new();
        let pushing = push_metrics(collector(settings(address, &[])), figures, token.clone());
        let ending = async {
            got.recv().await.unwrap();
            got.recv().await.unwrap();
            token.cancel();
        };
        let warnings = warnings_of(async {
            let both = async { tokio::join!(pushing, ending) };
            tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        });
        let warnings = warnings.await;
        assert_eq!(warnings.len(), 1, "{told}: {warnings:?}");
        assert!(warnings[0].contains(told), "{told}: {warnings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_takes_and_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(
        listener.local_addr().unwrap(),
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")],
    );
    let figures = figures();
    let warnings = warnings_of(pushes_for(Duration::from_secs(30), settings, &figures)).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("within 2s") || warnings[0].contains("2000 ms"),
        "{warnings:?}"
    );
}

#[test]
fn the_standard_variables_decide() {
    let url = Url::parse("http://127.0.0.1:1").unwrap();
    let read = |configured: Option<&Url>, variables: &[(&str, &str)]| {
        let environment = Environment::from_pairs(variables.iter().copied());
        OtlpSettings::of(Signal::Metrics, configured, Duration::from_secs(60), &environment)
    };
    let to = |configured, variables: &[(&str, &str)]| {
        read(configured, variables)
            .unwrap()
            .map(|settings| settings.url.to_string())
    };
    assert_eq!(to(None, &[]), None, "off unless it is asked for");
    assert_eq!(to(Some(&url), &[]).unwrap(), "http://127.0.0.1:1/v1/metrics");
    assert_eq!(to(Some(&url), &[("OTEL_SDK_DISABLED", "True")]), None);
    assert_eq!(to(Some(&url), &[("OTEL_METRICS_EXPORTER", "none")]), None);
    let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c.example/otlp/");
    assert_eq!(
        to(Some(&url), &[common]).unwrap(),
        "https://c.example/otlp/v1/metrics"
    );
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/push");
    assert_eq!(to(None, &[common, own]).unwrap(), "https://m.example/push");
    let all = read(
        Some(&url),
        &[
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1500"),
        ],
    );
    let all = all.unwrap().unwrap();
    assert_eq!(
        (all.interval, all.timeout),
        (Duration::from_secs(5), Duration::from_millis(1500))
    );

    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://a/"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:never-printed@a/"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "never-printed"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=never-printed"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=never%0Aprinted"),
    ] {
        let error = read(Some(&url), &[(name, value)]).unwrap_err();
        assert_eq!(error.variable, name);
        assert!(!error.to_string().contains("printed"), "{error}");
    }
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abcdefgh");
    let open = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.example");
    assert!(read(None, &[open]).unwrap().is_some());
    let error = read(None, &[open, headers]).unwrap_err();
    assert!(error.why.contains("without https"), "{error}");
    let kept = read(Some(&url), &[headers]).unwrap().unwrap();
    assert!(!format!("{kept:?}").contains("abcdefgh"), "{kept:?}");
    assert!(kept.secrets().iter().any(|secret| secret.expose() == "abcdefgh"));
}

/// A tracer with a task that sends what it takes to `address`, until the token is cancelled.
fn tracing_to(
    address: SocketAddr,
    variables: &[(&str, &str)],
    figures: &MetricsCollector,
) -> (Tracer, CancellationToken, impl Future<Output = ()> + use<>) {
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let environment = Environment::from_pairs(variables.iter().copied());
    let settings = OtlpSettings::of(Signal::Traces, Some(&url), BATCH_WAIT, &environment);
    let (tracer, finished) = Tracer::new(figures);
    let token = CancellationToken::new();
    let collector = collector(settings.unwrap().unwrap());
    let pushing = push_spans(collector, finished, figures.clone(), token.clone());
    (tracer, token, pushing)
}

fn spans(request: &ExportTraceServiceRequest) -> &[Span] {
    &request.resource_spans[0].scope_spans[0].spans
}

#[tokio::test]
async fn spans_reach_a_receiver_of_the_published_definitions() {
    let answers = vec![("503 Service Unavailable", Vec::new()), ("200 OK", Vec::new())];
    let (address, mut got) = receiver::<ExportTraceServiceRequest>(answers).await;
    let figures = MetricsCollector::new();
    let variables = [
        ("OTEL_BSP_SCHEDULE_DELAY", "1000"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
    ];
    let (tracer, token, pushing) = tracing_to(address, &variables, &figures);
    let mut outer = tracer.span(SpanKind::Internal, || "invoke_agent a".to_owned());
    outer.set("gen_ai.usage.input_tokens", 7);
    within(outer.context(), async {
        let mut inner = tracer.span(SpanKind::Client, || "chat m".to_owned());
        inner.set(
            "gen_ai.response.finish_reasons",
            SpanValue::Texts(vec!["end_turn".into()]),
        );
        inner.fail("overloaded_error");
    })
    .await;
    drop(outer);
    let watching = async {
        let (head, first) = got.recv().await.unwrap();
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        let (_, again) = got.recv().await.unwrap();
        assert_eq!(first, again, "what did not arrive is sent again");
        let [inner, outer] = spans(&again) else {
            panic!("{again:?}")
        };
        assert_eq!((inner.name.as_str(), inner.kind), ("chat m", 3));
        assert_eq!((outer.name.as_str(), outer.kind), ("invoke_agent a", 1));
        assert_eq!(inner.trace_id, outer.trace_id);
        assert_eq!((inner.trace_id.len(), inner.span_id.len()), (16, 8));
        assert_eq!(inner.parent_span_id, outer.span_id);
        assert!(outer.parent_span_id.is_empty() && outer.status.is_none());
        assert_eq!(inner.status.as_ref().unwrap().code, 2, "an error");
        assert_eq!(text(&inner.attributes, "error.type"), "overloaded_error");
        assert_eq!(
            text(&outer.attributes, "gen_ai.usage.input_tokens"),
            "7 as a number"
        );
        assert!(inner.start_time_unix_nano >= outer.start_time_unix_nano);
        assert!(inner.end_time_unix_nano >= inner.start_time_unix_nano);
        // What comes last is sent at the end.
        drop(tracer.span(SpanKind::Internal, || "last".to_owned()));
        token.cancel();
        let (_, last) = got.recv().await.unwrap();
        assert_eq!(spans(&last)[0].name, "last");
    };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(pushing, watching) })
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn spans_for_a_collector_that_is_away_are_dropped_and_counted() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let figures = MetricsCollector::new();
    let (tracer, token, pushing) = tracing_to(closed, &[], &figures);
    let making = async {
        for _ in 0..3600 {
            for _ in 0..10 {
                drop(tracer.span(SpanKind::Internal, || "x".to_owned()));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        token.cancel();
    };
    let warnings = warnings_of(async {
        tokio::join!(pushing, making);
    });
    let warnings = warnings.await;
    assert!((5..=7).contains(&warnings.len()), "{warnings:?}");
    let dropped = figures
        .get_metric_statistics("telemetry.spans_dropped")
        .unwrap()
        .sum;
    assert!((30_000.0..36_000.0).contains(&dropped), "{dropped}");
}

fn line(seq: u64) -> SentLine {
    SentLine {
        seq,
        time: chrono::DateTime::UNIX_EPOCH,
        level: tracing::Level::WARN,
        target: "agent_core::turn".to_owned(),
        message: format!("line {seq}"),
        fields: vec![("task".to_owned(), "t".to_owned())],
    }
}

#[tokio::test]
async fn lines_reach_a_receiver_once_each_and_what_was_forgotten_is_counted() {
    let answers = vec![("429 Too Many Requests", Vec::new()), ("200 OK", Vec::new())];
    let (address, mut got) = receiver::<ExportLogsServiceRequest>(answers).await;
    let (figures, token) = (MetricsCollector::new(), CancellationToken::new());
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let environment = Environment::from_pairs([("OTEL_BLRP_SCHEDULE_DELAY", "1000")]);
    let settings = OtlpSettings::of(Signal::Logs, Some(&url), BATCH_WAIT, &environment);
    // The first three are forgotten already; one more comes at the end.
    let newest = Arc::new(std::sync::atomic::AtomicU64::new(900));
    let known = Arc::clone(&newest);
    let after = move |seq: u64, most: usize| {
        let newest = known.load(std::sync::atomic::Ordering::Relaxed);
        (seq.max(3) + 1..=newest).take(most).map(line).collect()
    };
    let pushing = push_logs(
        collector(settings.unwrap().unwrap()),
        after,
        figures.clone(),
        token.clone(),
    );
    let watching = async {
        let (head, refused) = got.recv().await.unwrap();
        assert!(head.starts_with("post /v1/logs http/1.1"), "{head}");
        let (_, first) = got.recv().await.unwrap();
        assert!(refused == first, "what did not arrive is sent again");
        let (_, second) = got.recv().await.unwrap();
        let all: Vec<_> = [&first, &second]
            .iter()
            .flat_map(|request| request.resource_logs[0].scope_logs[0].log_records.clone())
            .collect();
        assert_eq!(all.len(), 897);
        assert_eq!(
            (all[0].severity_number, all[0].severity_text.as_str()),
            (13, "WARN")
        );
        assert!(
            format!("{:?}", all[0].body).contains("\"line 4\""),
            "{:?}",
            all[0]
        );
        assert_eq!(text(&all[0].attributes, "code.namespace"), "agent_core::turn");
        assert_eq!(text(&all[0].attributes, "task"), "t");
        newest.store(901, std::sync::atomic::Ordering::Relaxed);
        token.cancel();
        let (_, last) = got.recv().await.unwrap();
        assert_eq!(last.resource_logs[0].scope_logs[0].log_records.len(), 1);
    };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(pushing, watching) })
        .await
        .unwrap();
    let dropped = figures.get_metric_statistics("telemetry.lines_dropped").unwrap();
    assert_eq!(dropped.sum, 3.0);
}

proptest::proptest! {
    #[test]
    fn no_variable_makes_it_panic(value in "\\PC{0,40}", which in 0usize..6) {
        let name = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_SERVICE_NAME",
            "OTEL_METRIC_EXPORT_INTERVAL",
        ][which];
        let environment = Environment::from_pairs([(name, value)]);
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        drop(OtlpSettings::of(Signal::Metrics, Some(&url), Duration::from_secs(1), &environment));
    }
}
