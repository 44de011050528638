//! Against the simulator, with everything that it can do wrong.

use std::time::Duration;

use agent_simulator::{FaultSpec, Simulator, SimulatorConfig};

use super::rig::{Choice, Rig, STREAM, WHOLE};
use super::wire::Reply;

async fn rig(faults: &[&str]) -> (Simulator, Rig) {
    rig_within(faults, Duration::from_millis(500), Duration::from_secs(3)).await
}

async fn rig_within(faults: &[&str], idle: Duration, total: Duration) -> (Simulator, Rig) {
    let faults: Vec<FaultSpec> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let config = SimulatorConfig {
        faults,
        max_silence: Duration::from_secs(30),
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::bind(config).await.unwrap();
    let mut choice = Choice::idle(idle);
    choice.timeouts.first_byte = Duration::from_millis(1500);
    choice.timeouts.total = total;
    choice.max_size = 32 << 20;
    let rig = Rig::with(&simulator.base_url(), choice).await;
    (simulator, rig)
}

/// The stream's last word, or none when it was cut.
fn last_event(reply: &Reply) -> Option<&str> {
    if !reply.whole {
        return None;
    }
    let events = reply.text().split("\n\n").filter(|event| !event.is_empty());
    events
        .last()
        .and_then(|event| event.lines().next())
        .and_then(|line| line.strip_prefix("event: "))
}

#[tokio::test]
async fn the_whole_surface_answers() {
    let (_simulator, rig) = rig(&[]).await;
    assert_eq!(last_event(&rig.stream().await), Some("message_stop"));
    let whole = rig.post("/v1/messages", WHOLE).await;
    assert_eq!(whole.json()["type"], "message");
    assert!(whole.header("request-id").unwrap().starts_with("req_"));
    assert!(
        whole
            .headers
            .iter()
            .any(|(name, _)| name.starts_with("anthropic-ratelimit-")),
        "{whole:?}"
    );
    let count = rig
        .post(
            "/v1/messages/count_tokens",
            r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}]}"#,
        )
        .await;
    assert!(count.json()["input_tokens"].as_u64().unwrap() > 0);
    let models = rig.get("/v1/models?limit=3").await;
    let first = models.json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.get(&format!("/v1/models/{first}")).await.json()["id"], first);
    assert_eq!(rig.get("/v1/unheard/of").await.status, 404);
    let refused = rig
        .post("/v1/messages", r#"{"model":"claude-opus-5-5","messages":[]}"#)
        .await;
    assert_eq!(
        (refused.status, refused.error().as_str()),
        (400, "invalid_request_error")
    );
}

#[tokio::test]
async fn each_fault_is_told_for_what_it_is() {
    // The fault, and the status and last event of the stream; no event when it may have been cut instead.
    for (fault, status, last) in [
        ("reset-before", 502, None),
        ("reset-mid", 200, Some("error")),
        ("error-event=overloaded", 200, Some("error")),
        ("silence", 504, None),
        ("pings", 200, Some("error")),
        ("truncate", 200, Some("error")),
        ("malformed", 200, Some("message_stop")),
        ("huge-event=2MiB", 200, Some("message_stop")),
        ("status=529", 529, None),
        ("429=retry-after:2s", 429, None),
    ] {
        let (_simulator, rig) = rig(&[fault]).await;
        let reply = rig.stream().await;
        assert_eq!(reply.status, status, "{fault}: {reply:?}");
        if status == 200 {
            let seen = last_event(&reply);
            let cut = last == Some("error") && !reply.whole;
            assert!(seen == last || cut, "{fault}: {seen:?}, whole {}", reply.whole);
        } else {
            reply.error();
        }
        if fault.starts_with("429") {
            assert_eq!(reply.header("retry-after"), Some("2"));
        }
    }
}

#[tokio::test]
async fn what_is_no_stream_passes_as_it_is() {
    let (_simulator, rig) = rig(&["content-type"]).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status, reply.whole), (200, true));
    assert!(reply.header("content-type").unwrap().starts_with("text/html"));
}

#[tokio::test]
async fn a_stream_byte_by_byte_is_whole() {
    let (_simulator, rig) = rig_within(
        &["trickle=10us"],
        Duration::from_secs(20),
        Duration::from_secs(60),
    )
    .await;
    let reply = rig.stream().await;
    assert_eq!(last_event(&reply), Some("message_stop"));
}

#[tokio::test]
async fn sixteen_streams_and_a_long_prompt_at_once() {
    let (_simulator, rig) = rig(&[]).await;
    let long = STREAM.replace("hi", &"word ".repeat(400_000));
    let streams = (0..16).map(|index| {
        let (rig, long) = (&rig, &long);
        async move {
            if index == 0 {
                rig.post("/v1/messages", long).await
            } else {
                rig.stream().await
            }
        }
    });
    for reply in futures_util::future::join_all(streams).await {
        assert!(
            matches!(last_event(&reply), Some("message_stop")) || reply.status == 400,
            "{}",
            reply.status
        );
    }
}
