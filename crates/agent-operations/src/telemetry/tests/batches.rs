//! Spans and lines on their way.

use super::*;

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
