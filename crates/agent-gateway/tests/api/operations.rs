//! Health, figures, configuration and log.

use agent_performance::metrics::{MetricUnit, NO_TAGS};
use http::Method;
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::rig::{Rig, Setup};

const NO_CREDENTIAL: (&str, &str) = ("authorization", "");

#[tokio::test]
async fn health_is_told_to_everyone_and_details_to_who_shows_a_credential() {
    let rig = Rig::start().await;
    for path in ["/livez", "/healthz", "/readyz"] {
        for query in ["", "?verbose", "?verbose=true"] {
            let answer = rig
                .call(Method::GET, &format!("{path}{query}"), &[NO_CREDENTIAL], None)
                .await
                .expect(200);
            assert_eq!(answer.text(), "ok\n", "{path}{query}");
        }
        rig.call(Method::HEAD, path, &[NO_CREDENTIAL], None)
            .await
            .expect(200);
        let wrong = [("authorization", "Bearer not-the-token")];
        rig.call(Method::GET, path, &wrong, None).await.expect(401);
        rig.get(&format!("{path}?what")).await.expect(400);
    }
    let live = rig.get("/livez?verbose").await.expect(200);
    assert_eq!(
        live.text(),
        "[+]process ok (version 0.0.0-test)\nlivez check passed\n"
    );
    let ready = rig.get("/readyz?verbose").await.expect(200);
    assert_eq!(
        ready.text(),
        "[+]not-draining ok\n[+]started ok\n[+]memory ok\n[+]store ok\nreadyz check passed\n"
    );
}

#[tokio::test]
async fn what_holds_readiness_back_is_told() {
    let rig = Rig::start().await;
    let blocker = rig.front.block_readiness("a migration");
    let answer = rig
        .call(Method::GET, "/readyz", &[NO_CREDENTIAL], None)
        .await
        .expect(503);
    assert_eq!(answer.text(), "not ok\n");
    let told = rig.get("/readyz?verbose").await.expect(503);
    assert!(
        told.text()
            .contains("[-]started failed: waiting for a migration\n"),
        "{}",
        told.text()
    );
    rig.get("/livez").await.expect(200);
    drop(blocker);
    rig.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_store_that_can_not_be_written_is_not_ready() {
    let rig = Rig::start().await;
    rig.store.close().await.unwrap();
    let told = rig.get("/readyz?verbose").await.expect(503);
    assert!(told.text().contains("[-]store failed: "), "{}", told.text());
    rig.get("/livez").await.expect(200);
    rig.get("/api/v1/sessions").await.expect(503);
}

#[tokio::test]
async fn metrics_are_scraped_in_both_formats() {
    let rig = Rig::start().await;
    rig.metrics.counter("test.things", NO_TAGS).increment(3);
    let text = rig.get("/metrics").await.expect(200);
    assert_eq!(
        text.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(text.text().contains("test_things_total 3"), "{}", text.text());
    let open = [(
        "accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )];
    let open = rig.call(Method::GET, "/metrics", &open, None).await.expect(200);
    assert!(
        open.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(open.text().ends_with("# EOF\n"));
    rig.get("/metrics?name=x").await.expect(400);
}

#[tokio::test]
async fn statistics_are_found_by_name_and_window() {
    let rig = Rig::start().await;
    let timing = rig
        .metrics
        .histogram("test.time", MetricUnit::Seconds, &[("k", "v")]);
    (1..=4).for_each(|n| timing.record(f64::from(n)));
    for query in ["", "&window=60"] {
        let page = rig
            .get(&format!("/api/v1/metrics?name=test.{query}"))
            .await
            .expect(200)
            .json();
        let series = page["series"].as_array().unwrap();
        assert_eq!(series.len(), 1, "{page}");
        assert_eq!(
            (&series[0]["name"], &series[0]["kind"]),
            (&json!("test.time"), &json!("histogram"))
        );
        assert_eq!(
            (&series[0]["tags"], &series[0]["unit"]),
            (&json!({ "k": "v" }), &json!("s"))
        );
        let statistics = &series[0]["statistics"];
        assert_eq!(
            (&statistics["count"], &statistics["median"]),
            (&json!(4), &json!(2.0)),
            "{statistics}"
        );
        assert_eq!(statistics["is_complete"], true);
    }
    let all = rig.get("/api/v1/metrics").await.expect(200).json();
    assert!(all["series"].as_array().unwrap().len() > 1);
    rig.get("/api/v1/metrics?window=0").await.expect(400);
}

#[tokio::test]
async fn without_metrics_it_says_how_to_get_them() {
    let rig = Setup {
        with_metrics: false,
        ..Setup::default()
    }
    .start()
    .await;
    for path in ["/metrics", "/api/v1/metrics"] {
        let refused = rig.get(path).await.expect(404).json();
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("monitoring.enable_metrics"),
            "{refused}"
        );
    }
    assert_eq!(
        rig.get("/api/v1/resources").await.expect(200).json()["process"],
        json!({})
    );
}

#[tokio::test]
async fn resources_come_with_what_looks_like_a_leak_and_why() {
    let rig = Rig::start().await;
    rig.metrics
        .gauge("process.memory_rss", MetricUnit::Bytes, NO_TAGS)
        .set(4096.0);
    let leaked = rig
        .tracker
        .kind("streams")
        .track_labelled(100, "the forgotten one");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let told = rig
        .get("/api/v1/resources?untouched_seconds=1")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &told["resources"]["streams"]["count"],
            &told["resources"]["streams"]["bytes"]
        ),
        (&json!(1), &json!(100))
    );
    let suspect = &told["leak_suspects"][0];
    assert_eq!(
        (&suspect["resource"], &suspect["evidence"][0]["kind"]),
        (&json!("streams"), &json!("untouched"))
    );
    assert_eq!(suspect["evidence"][0]["examples"], json!(["the forgotten one"]));
    assert_eq!(
        told["process"]["process.memory_rss"],
        json!({ "value": 4096.0, "unit": "bytes" })
    );
    drop(leaked);
    assert_eq!(
        rig.get("/api/v1/resources").await.expect(200).json()["leak_suspects"],
        json!([])
    );
    rig.get("/api/v1/resources?untouched_seconds=x").await.expect(400);
}

#[tokio::test]
async fn cache_connections_and_configuration_are_told() {
    let rig = Rig::start().await;
    let cache = rig.get("/api/v1/cache").await.expect(200).json();
    assert_eq!(
        (&cache["enabled"], &cache["hits"], &cache["shared"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    let connections = rig.get("/api/v1/connections").await.expect(200).json();
    assert_eq!(connections["open"], 0);
    assert_eq!(
        rig.get("/api/v1/config").await.expect(200).json()["server"]["listen"],
        "127.0.0.1:0"
    );
    for path in ["cache", "connections", "config"] {
        rig.get(&format!("/api/v1/{path}?what")).await.expect(400);
    }
}

#[tokio::test]
async fn the_log_is_read_from_afar_without_secrets() {
    let rig = Rig::start().await;
    let subscriber = tracing_subscriber::registry().with(rig.logs.layer());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(target: "test::one", key = "s3cr3t-of-the-operator", "first");
        tracing::error!(target: "test::two", "second");
        tracing::debug!(target: "test::one", "third");
    });
    let all = rig.get("/api/v1/logs?target=test").await.expect(200);
    assert!(!all.text().contains("s3cr3t"), "{}", all.text());
    let messages = |page: &Value| -> Vec<String> {
        let lines = page["lines"].as_array().unwrap().iter();
        lines
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(messages(&all.json()), ["first", "second", "third"]);
    let page = |query: &'static str| {
        let rig = &rig;
        async move { rig.get(&format!("/api/v1/logs?{query}")).await.expect(200).json() }
    };
    assert_eq!(messages(&page("target=test&level=error").await), ["second"]);
    assert_eq!(messages(&page("target=test::one&limit=1").await), ["third"]);
    let last = all.json()["last_seq"].as_u64().unwrap();
    let later = rig
        .get(&format!("/api/v1/logs?after={last}"))
        .await
        .expect(200)
        .json();
    assert_eq!(messages(&later), Vec::<String>::new());
    let since = all.json()["lines"][1]["time"]
        .as_str()
        .unwrap()
        .replace('+', "%2B");
    let since = rig
        .get(&format!("/api/v1/logs?target=test&since={since}"))
        .await
        .expect(200)
        .json();
    assert!(
        messages(&since).contains(&"second".to_owned()) && !messages(&since).contains(&"first".to_owned())
    );
    for query in ["level=loud", "since=yesterday", "limit=0", "after=-1"] {
        rig.get(&format!("/api/v1/logs?{query}")).await.expect(400);
    }
}
