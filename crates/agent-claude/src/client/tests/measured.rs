//! What is recorded of a request, whatever becomes of it: exactly that, and once.

use std::sync::Arc;

use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::metrics::{MetricKind, MetricsCollector, SeriesSnapshot, catalogue};

use super::server::{
    BLOCK, FINISH, PING, START, Script, Server, Step, brief_error, delta, end, error, message, send, stream,
    stream_head,
};
use super::*;

const DURATION: &str = "gen_ai.client.operation.duration";
const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
const PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
const TOKENS: &str = "gen_ai.client.token.usage";

pub(super) fn measured(
    server: &Server,
    change: impl FnOnce(&mut ClaudeConfig),
) -> (ClaudeClient, Arc<MetricsCollector>) {
    let mut config = config(server);
    change(&mut config);
    let metrics = Arc::new(MetricsCollector::new());
    let pool = Arc::new(HttpConnectionPool::new(ConnectionPoolConfig::default()));
    let client = ClaudeClient::new_with_performance(config, Arc::clone(&metrics), pool).unwrap();
    (client, metrics)
}

/// All that was recorded, as it is declared, one line for each series: samples of histograms, totals of counters, levels of gauges. Labels
/// that are the same everywhere are left out, and so are totals of 0.
fn recorded(metrics: &MetricsCollector) -> Vec<String> {
    const SAME: [&str; 5] = [
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "server.address",
        "server.port",
    ];
    let line = |series: SeriesSnapshot| {
        let declared = catalogue::find(&series.name).unwrap();
        assert_eq!(
            (declared.kind, declared.unit),
            (series.kind, series.unit),
            "{declared:?}"
        );
        for key in series.tags.keys() {
            assert!(declared.labels.contains(&key.as_str()), "{key}: {declared:?}");
        }
        let tags = series
            .tags
            .iter()
            .filter(|(key, _)| !SAME.contains(&key.as_str()));
        let mut line = series.name.clone();
        for (_, value) in tags {
            line += &format!(" {value}");
        }
        let figure = match series.kind {
            MetricKind::Histogram => series.count as f64,
            MetricKind::Counter | MetricKind::Gauge => series.value,
        };
        let said = series.kind == MetricKind::Gauge || figure != 0.0;
        said.then(|| format!("{line} = {figure}"))
    };
    let series = metrics.snapshot().series.into_iter();
    series
        .filter(|series| !series.name.starts_with("metrics."))
        .filter_map(line)
        .collect()
}

/// The gauges of a client that is at rest.
const AT_REST: [&str; 3] = [
    "claude.circuit_state = 0",
    "claude.concurrency_limit = 10",
    "claude.in_flight = 0",
];

/// What each test expects beside the gauges, in any order.
fn check(metrics: &MetricsCollector, expected: &[&str]) {
    let mut expected: Vec<&str> = expected.iter().chain(&AT_REST).copied().collect();
    expected.sort_unstable();
    let mut found = recorded(metrics);
    found.sort_unstable();
    assert_eq!(found, expected);
}

fn three_words() -> Script {
    let words = ["one ", "two ", "three"].map(|word| send(delta(word)));
    let mut script = vec![stream_head(), send(START), send(PING), send(BLOCK)];
    script.extend(words);
    script.extend([send(PING), send(FINISH), end()]);
    script
}

#[tokio::test]
async fn a_stream() {
    let server = Server::start([three_words()]).await;
    let (client, metrics) = measured(&server, |_| {});
    let answer = client.stream_message(&question()).await.unwrap();
    assert!(drain(answer).await.1.is_none());
    check(
        &metrics,
        &[
            &format!("{DURATION} m = 1"),
            &format!("{FIRST_CHUNK} m = 1"),
            &format!("{PER_CHUNK} m = 2"),
            &format!("{TOKENS} m input = 1"),
            &format!("{TOKENS} m output = 1"),
            "claude.rate_limit_remaining requests = 7",
            "claude.requests messages ok = 1",
        ],
    );
    let of = |kind| metrics.get_metric_statistics_with_tags(TOKENS, &[("gen_ai.token.type", kind)]);
    assert_eq!((of("input").unwrap().sum, of("output").unwrap().sum), (3.0, 2.0));
    let duration = metrics.snapshot().series;
    let duration = duration.iter().find(|series| series.name == DURATION).unwrap();
    for (label, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-opus-5-5"),
        ("gen_ai.response.model", "m"),
        ("server.address", "127.0.0.1"),
        ("server.port", &server.url().port().unwrap().to_string()),
    ] {
        assert_eq!(duration.tags[label], value);
    }
    assert_eq!(duration.tags.len(), 6, "no error.type where nothing failed");
}

#[tokio::test]
async fn a_pause_counts_as_time_between_chunks() {
    let mut script = vec![stream_head(), send(START), send(BLOCK), send(delta("a"))];
    script.extend([send(delta("b")), send(FINISH), end()]);
    let server = Server::start([script]).await;
    let (client, metrics) = measured(&server, |_| {});
    let mut answer = client.stream_message(&question()).await.unwrap();
    while let Some(event) = answer.next().await {
        if matches!(event.unwrap(), StreamEvent::ContentBlockDelta { .. }) {
            tokio::time::sleep(SHORT).await;
        }
    }
    let gap = metrics.get_metric_statistics(PER_CHUNK).unwrap();
    assert_eq!(gap.count, 1);
    assert!((0.1..10.0).contains(&gap.max), "{} s", gap.max);
}

#[tokio::test]
async fn a_whole_answer_counts_cached_tokens() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"end_turn",
        "stop_sequence":null,"usage":{"input_tokens":3,"cache_read_input_tokens":40,"cache_creation_input_tokens":500,"output_tokens":2}}"#;
    let server = Server::start([super::server::reply(200, &[], body)]).await;
    let (client, metrics) = measured(&server, |_| {});
    client.send_message(&question()).await.unwrap();
    check(
        &metrics,
        &[
            &format!("{DURATION} m = 1"),
            &format!("{TOKENS} m input = 1"),
            &format!("{TOKENS} m output = 1"),
            "claude.requests messages ok = 1",
        ],
    );
    let input = metrics.get_metric_statistics_with_tags(TOKENS, &[("gen_ai.token.type", "input")]);
    assert_eq!(input.unwrap().sum, 543.0);
}

#[tokio::test]
async fn an_error() {
    let server = Server::start([error(400, "invalid_request_error", &[])]).await;
    let (client, metrics) = measured(&server, |_| {});
    assert_eq!(status(client.stream_message(&question()).await), 400);
    assert_eq!(status(client.count_tokens(&question()).await), 400);
    check(
        &metrics,
        &[
            &format!("{DURATION} invalid_request_error = 1"),
            "claude.errors messages invalid_request_error = 1",
            "claude.errors count_tokens invalid_request_error = 1",
            "claude.requests messages error = 1",
            "claude.requests count_tokens error = 1",
        ],
    );
}

#[tokio::test]
async fn a_stream_that_breaks_off() {
    let server = Server::start([vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(delta("a")),
        end(),
    ]])
    .await;
    let (client, metrics) = measured(&server, |_| {});
    let answer = client.stream_message(&question()).await.unwrap();
    assert!(drain(answer).await.1.is_some());
    check(
        &metrics,
        &[
            &format!("{DURATION} truncated_stream m = 1"),
            &format!("{FIRST_CHUNK} m = 1"),
            &format!("{TOKENS} m input = 1"),
            "claude.errors messages truncated_stream = 1",
            "claude.rate_limit_remaining requests = 7",
            "claude.requests messages error = 1",
        ],
    );
}

#[tokio::test]
async fn retries() {
    let overload = brief_error(529, "overloaded_error");
    let server = Server::start([brief_error(500, "brand_new_error"), overload, stream("after all")]).await;
    let (client, metrics) = measured(&server, |config| config.max_concurrency = 2);
    let answer = client.stream_message(&question()).await.unwrap();
    let during = recorded(&metrics);
    assert!(during.contains(&"claude.in_flight = 1".to_owned()), "{during:?}");
    // Halved to 1 by the overload, and raised by the success.
    assert_eq!(client.concurrency_limit(), 2);
    assert!(drain(answer).await.1.is_none());
    let found = recorded(&metrics);
    for expected in [
        &format!("{DURATION} m = 1"),
        "claude.concurrency_limit = 2",
        "claude.in_flight = 0",
        "claude.requests messages ok = 1",
        "claude.retries api_error = 1",
        "claude.retries overloaded_error = 1",
    ] {
        assert!(found.contains(&expected.to_owned()), "{expected}: {found:?}");
    }
    assert!(
        !found.iter().any(|line| line.starts_with("claude.errors")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_stream_that_nobody_reads_to_its_end() {
    let script = vec![
        stream_head(),
        send(START),
        send(BLOCK),
        send(delta("a")),
        Step::Hang,
    ];
    let server = Server::start([script]).await;
    let (client, metrics) = measured(&server, |_| {});
    let mut answer = client.stream_message(&question()).await.unwrap();
    for _ in 0..3 {
        answer.next().await.unwrap().unwrap();
    }
    drop(answer);
    check(
        &metrics,
        &[
            &format!("{DURATION} cancelled m = 1"),
            &format!("{FIRST_CHUNK} m = 1"),
            &format!("{TOKENS} m input = 1"),
            "claude.rate_limit_remaining requests = 7",
            "claude.requests messages cancelled = 1",
        ],
    );
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_answer() {
    let server = Server::start([vec![Step::Hang]]).await;
    let (client, metrics) = measured(&server, |_| {});
    let question = question();
    tokio::select! {
        _ = client.send_message(&question) => panic!("nothing answers"),
        () = server.received(1) => {}
    }
    check(
        &metrics,
        &[
            &format!("{DURATION} cancelled = 1"),
            "claude.requests messages cancelled = 1",
        ],
    );
}

#[tokio::test]
async fn an_overload_lowers_the_limit_that_is_shown() {
    let server = Server::start([brief_error(529, "overloaded_error"), message()]).await;
    let (client, metrics) = measured(&server, |config| config.max_retries = 0);
    assert_eq!(status(client.send_message(&question()).await), 529);
    let found = recorded(&metrics);
    assert!(
        found.contains(&"claude.concurrency_limit = 5".to_owned()),
        "{found:?}"
    );
}
