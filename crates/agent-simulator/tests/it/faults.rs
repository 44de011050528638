//! Every fault, as a client sees it.

use std::time::{Duration, Instant};

use agent_simulator::{FaultSpec, SimulatorConfig};
use serde_json::json;

use crate::client::{End, hello, start, with_faults};

const A_MOMENT: Duration = Duration::from_millis(700);

#[tokio::test]
async fn statuses_come_as_often_as_told_and_then_it_works() {
    let running = with_faults(&[
        "status=529*2",
        "429=retry-after:1500ms*1",
        "500*1",
        "status=403*1",
    ])
    .await;
    for (status, kind, retry_after) in [
        (529, "overloaded_error", ""),
        (529, "overloaded_error", ""),
        (429, "rate_limit_error", "1.5"),
        (500, "api_error", ""),
        (403, "permission_error", ""),
    ] {
        let answer = running.post(&hello(true)).await;
        assert_eq!((answer.status, answer.error().0.as_str()), (status, kind));
        assert_eq!(answer.header("retry-after"), retry_after);
        assert_eq!(
            answer.header("x-should-retry"),
            if status == 529 { "true" } else { "" }
        );
    }
    assert_eq!(running.post(&hello(true)).await.status, 200);
}

#[tokio::test]
async fn a_mistake_of_the_client_is_told_whatever_fault_is_on() {
    let running = with_faults(&["status=529*1"]).await;
    assert_eq!(running.post(&json!({})).await.status, 400);
    assert_eq!(running.post(&hello(true)).await.status, 529);
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let running = with_faults(&["latency=fixed:80ms*1"]).await;
    let begun = Instant::now();
    assert_eq!(running.post(&hello(true)).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn resets_are_real() {
    let running = with_faults(&["reset-before*1", "reset-mid*2"]).await;
    let before = running.post(&hello(true)).await;
    assert_eq!((before.status, before.end), (0, End::Reset));
    let mid = running.post(&hello(true)).await;
    assert_eq!((mid.status, &mid.end), (200, &End::Reset));
    assert!(
        mid.events().contains(&"content_block_delta".to_owned())
            && !mid.events().contains(&"message_stop".to_owned())
    );
    let document = running.post(&hello(false)).await;
    assert_eq!((document.status, &document.end), (200, &End::Reset));
    assert!(!document.body.is_empty());
}

#[tokio::test]
async fn an_error_event_ends_the_stream() {
    let running = with_faults(&["error-event=overloaded*2"]).await;
    let answer = running.post(&hello(true)).await;
    assert_eq!((answer.status, &answer.end), (200, &End::Complete));
    assert_eq!(answer.events().last().unwrap(), "error");
    let data = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back()
        .unwrap()
        .to_owned();
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(
        (&data["type"], &data["error"]["type"]),
        (&json!("error"), &json!("overloaded_error"))
    );
    assert_eq!(running.post(&hello(false)).await.status, 529);
}

#[tokio::test]
async fn silence_lasts_until_the_client_goes_or_the_limit() {
    let running = with_faults(&["silence*1"]).await;
    let silent = running.post_within(A_MOMENT, &hello(true)).await;
    assert_eq!((silent.status, silent.end), (0, End::Silent));
    let waited = Instant::now();
    while running.simulator.connections() > 0 {
        assert!(
            waited.elapsed() < Duration::from_secs(5),
            "the client is gone, its connection is not"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(running.post(&hello(true)).await.status, 200, "others are served");
    let limited = SimulatorConfig {
        faults: vec!["silence".parse().unwrap()],
        max_silence: Duration::from_millis(50),
        ..Default::default()
    };
    let answer = start(limited).await.post(&hello(true)).await;
    assert_eq!((answer.status, answer.end), (0, End::Closed));
}

#[tokio::test]
async fn pings_come_for_ever() {
    let running = with_faults(&["pings"]).await;
    let answer = running.post_within(A_MOMENT, &hello(true)).await;
    assert_eq!(answer.end, End::Silent, "{}", answer.text());
    let events = answer.events();
    assert_eq!(events[0], "message_start");
    assert!(
        events.len() >= 3 && events[1..].iter().all(|event| event == "ping"),
        "{events:?}"
    );
    // Shutting down does not wait for them.
    tokio::time::timeout(Duration::from_secs(5), running.simulator.stop())
        .await
        .expect("it stops within its grace");
}

#[tokio::test]
async fn a_truncated_stream_ends_cleanly() {
    let running = with_faults(&["truncate*2"]).await;
    let answer = running.post(&hello(true)).await;
    assert_eq!(answer.end, End::Complete);
    assert_eq!(answer.events().last().unwrap(), "content_block_delta");
    let document = running.post(&hello(false)).await;
    assert_eq!(document.end, End::Complete);
    assert!(serde_json::from_slice::<serde_json::Value>(&document.body).is_err());
}

#[tokio::test]
async fn a_malformed_event_is_one_among_good_ones() {
    let running = with_faults(&["malformed*2"]).await;
    let answer = running.post(&hello(true)).await;
    let text = answer.text();
    let data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let bad = data
        .iter()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err())
        .count();
    assert_eq!(
        (bad, answer.events().last().unwrap().as_str()),
        (1, "message_stop")
    );
    assert!(serde_json::from_slice::<serde_json::Value>(&running.post(&hello(false)).await.body).is_err());
}

#[tokio::test]
async fn a_huge_event_is_as_large_as_told() {
    let running = with_faults(&["huge-event=2MiB*2"]).await;
    let answer = running.post(&hello(true)).await;
    let longest = answer.text().lines().map(str::len).max().unwrap();
    assert!((2 << 20..(2 << 20) + 200).contains(&longest), "{longest}");
    assert_eq!(answer.events().last().unwrap(), "message_stop");
    let document = running.post(&hello(false)).await;
    assert!(document.body.len() > 2 << 20 && document.json()["type"] == "message");
}

#[tokio::test]
async fn a_trickle_comes_byte_by_byte() {
    let running = with_faults(&["trickle=5ms*1"]).await;
    let answer = running.post_within(A_MOMENT, &hello(true)).await;
    assert_eq!(answer.end, End::Silent);
    assert!((20..=150).contains(&answer.body.len()), "{}", answer.body.len());
}

#[tokio::test]
async fn the_content_type_can_be_wrong() {
    let running = with_faults(&["content-type*2"]).await;
    for stream in [true, false] {
        assert_eq!(
            running.post(&hello(stream)).await.header("content-type"),
            "text/html; charset=utf-8"
        );
    }
    assert_eq!(
        running.post(&hello(false)).await.header("content-type"),
        "application/json"
    );
}

#[tokio::test]
async fn a_retry_after_a_fault_gets_the_step_that_the_fault_broke() {
    let scenario = "exhausted = \"refuse\"\n[[steps]]\ntext = \"first\"\n[[steps]]\ntext = \"second\"\nfault = \"reset-mid\"\n[[steps]]\ntext = \"third\"";
    let config = SimulatorConfig {
        scenario: Some(scenario.parse().unwrap()),
        faults: vec!["truncate*1".parse::<FaultSpec>().unwrap()],
        ..Default::default()
    };
    let running = start(config).await;
    running.post(&hello(true)).await;
    assert_eq!(
        running.post(&hello(false)).await.json()["content"][0]["text"],
        "first"
    );
    assert_eq!(running.post(&hello(true)).await.end, End::Reset);
    assert_eq!(
        running.post(&hello(false)).await.json()["content"][0]["text"],
        "third"
    );
    assert_eq!(running.post(&hello(false)).await.status, 400);
}

#[tokio::test]
async fn an_answer_is_in_flight_until_its_client_goes() {
    let running = with_faults(&["pings"]).await;
    assert_eq!(running.simulator.answers_in_flight(), 0);
    let hello = hello(true);
    let asking = running.post(&hello);
    // It never ends by itself; dropping the request closes its connection.
    assert!(tokio::time::timeout(A_MOMENT, asking).await.is_err());
    let begun = Instant::now();
    while running.simulator.answers_in_flight() > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "still answering nobody"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
