//! Figures on their way.

use super::*;

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
