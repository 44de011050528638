//! Against a receiver that decodes with the published definitions, over real sockets.

mod batches;
mod encoding;
mod figures;
mod settings;

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

fn find<'a>(request: &'a ExportMetricsServiceRequest, name: &str) -> &'a Metric {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let found = metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {metrics:?}"))
}
