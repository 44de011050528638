//! What is answered from the cache, for whom, and what never is.

use std::time::Duration;

use super::rig::{Choice, Rig, WHOLE};
use super::upstream::{
    DELTA, END, MESSAGE_START, STREAM_HEAD, Step, Upstream, chunk, json_answer, send, whole_stream,
};
use super::wire::{Reply, exchange, request};

fn cache(reply: &Reply) -> &str {
    reply.header("x-cache").unwrap()
}

const COUNT: &str = "{\"input_tokens\": 14}";

#[tokio::test]
async fn token_counts_and_models_are_kept() {
    let upstream = Upstream::saying(vec![json_answer(COUNT)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let first = rig.post("/v1/messages/count_tokens", WHOLE).await;
    assert_eq!(
        (first.text(), cache(&first), first.header("age")),
        (COUNT, "miss", None)
    );
    assert_eq!(first.header("request-id"), Some("req_up"));
    let again = rig.post("/v1/messages/count_tokens", WHOLE).await;
    assert_eq!(
        (again.text(), cache(&again), again.header("age")),
        (COUNT, "hit", Some("0"))
    );
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_ne!(
        again.header("request-id"),
        Some("req_up"),
        "a request that was not made has no id there"
    );
    for path in ["/v1/models", "/v1/models/claude-opus-5-5", "/v1/models?limit=1"] {
        assert_eq!(cache(&rig.get(path).await), "miss", "{path}");
        assert_eq!(cache(&rig.get(path).await), "hit", "{path}");
    }
    assert_eq!(upstream.seen.count(), 4);
}

#[tokio::test]
async fn all_that_the_answer_depends_on_is_in_the_key() {
    let upstream = Upstream::saying(vec![json_answer(COUNT)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let path = "/v1/messages/count_tokens";
    let own = rig.head();
    let other = own.replace(&rig.token, &rig.other_token);
    let newer = own.replace("2023-06-01", "2026-10-21");
    for (head, path, body) in [
        (own.clone(), path, WHOLE.to_owned()),
        (other, path, WHOLE.to_owned()),
        (newer, path, WHOLE.to_owned()),
        (own.clone() + "anthropic-beta: a\r\n", path, WHOLE.to_owned()),
        (own.clone() + "anthropic-beta: a, b\r\n", path, WHOLE.to_owned()),
        (
            own.clone() + "anthropic-workspace-id: w\r\n",
            path,
            WHOLE.to_owned(),
        ),
        (
            own.clone(),
            "/v1/messages/count_tokens?beta=true",
            WHOLE.to_owned(),
        ),
        (own.clone(), path, WHOLE.replace("hi", "ho")),
        (own.clone(), path, WHOLE.to_owned() + " "),
    ] {
        let request = request("POST", path, &head, body.as_bytes());
        assert_eq!(
            cache(&exchange(rig.address, &request).await),
            "miss",
            "{head}{path}{body}"
        );
        assert_eq!(cache(&exchange(rig.address, &request).await), "hit");
    }
}

#[tokio::test]
async fn the_request_may_forbid_it() {
    let upstream = Upstream::saying(vec![json_answer(COUNT)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let ask = async |control: &str| {
        let head = format!("cache-control: {control}\r\n");
        let reply = rig.post_with("/v1/messages/count_tokens", &head, WHOLE).await;
        assert_eq!(reply.text(), COUNT);
        cache(&reply).to_owned()
    };
    assert_eq!(ask("no-store").await, "bypass");
    assert_eq!(ask("max-age=60").await, "miss", "no-store stored nothing");
    assert_eq!(ask("no-cache").await, "bypass");
    assert_eq!(ask("max-age=60").await, "hit");
    assert_eq!(upstream.seen.count(), 3);
}

#[tokio::test]
async fn only_whole_answers_are_kept() {
    let error = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nretry-after: 1\r\n\r\n{}";
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"i\r\n0\r\n\r\n";
    let private = "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 2\r\n\r\n{}";
    for (answer, status) in [(error, 429), (half, 200), (private, 200)] {
        let upstream = Upstream::saying(vec![send(answer)]).await;
        let rig = Rig::before(&upstream.url()).await;
        for _ in 0..2 {
            let reply = rig.post("/v1/messages/count_tokens", WHOLE).await;
            assert_eq!((reply.status, cache(&reply)), (status, "miss"));
        }
        assert_eq!(upstream.seen.count(), 2);
    }
}

#[tokio::test]
async fn messages_are_asked_anew_unless_configured() {
    let upstream = Upstream::saying(vec![send(STREAM_HEAD), send(chunk(&whole_stream())), send(END)]).await;
    let rig = Rig::before(&upstream.url()).await;
    for _ in 0..2 {
        assert_eq!(cache(&rig.stream().await), "bypass");
    }
    assert_eq!(upstream.seen.count(), 2);
}

#[tokio::test]
async fn configured_messages_are_replayed_in_their_own_form() {
    let choice = Choice {
        cache_messages: true,
        ..Choice::default()
    };
    let pieces = whole_stream();
    let (one, two) = pieces.split_at(300);
    let steps = vec![
        send(STREAM_HEAD),
        send(chunk(one)),
        Step::Pause(Duration::from_millis(100)),
        send(chunk(two)),
        send(END),
    ];
    let upstream = Upstream::saying(steps).await;
    let rig = Rig::with(&upstream.url(), choice.clone()).await;
    let first = rig.stream().await;
    assert_eq!((first.text(), cache(&first)), (pieces.as_str(), "miss"));
    let mut again = rig.stream().await;
    // It is stored when it has ended, which the client may see first.
    while cache(&again) == "miss" {
        again = rig.stream().await;
    }
    assert_eq!(
        (again.text(), cache(&again), again.whole),
        (pieces.as_str(), "hit", true)
    );
    assert_eq!(
        again.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(again.header("age"), Some("0"));

    let answer =
        r#"{"type":"message","model":"claude-opus-5-5","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let upstream = Upstream::saying(vec![json_answer(answer)]).await;
    let rig = Rig::with(&upstream.url(), choice).await;
    assert_eq!(cache(&rig.post("/v1/messages", WHOLE).await), "miss");
    let again = rig.post("/v1/messages", WHOLE).await;
    assert_eq!((again.text(), cache(&again)), (answer, "hit"));
    rig.figure(
        "gen_ai.client.token.usage",
        &[("gen_ai.token.type", "input")],
        1.0,
    )
    .await;
}

#[tokio::test]
async fn broken_streams_are_not_replayed() {
    let error = "event: error\ndata: {\"error\":{\"type\":\"api_error\"}}\n\n";
    for tail in [
        vec![send(END)],
        vec![Step::Close],
        vec![send(chunk(error)), send(END)],
    ] {
        let steps = [
            vec![send(STREAM_HEAD), send(chunk(&[MESSAGE_START, DELTA].concat()))],
            tail,
        ]
        .concat();
        let upstream = Upstream::saying(steps).await;
        let rig = Rig::with(
            &upstream.url(),
            Choice {
                cache_messages: true,
                ..Choice::default()
            },
        )
        .await;
        for _ in 0..2 {
            assert_eq!(cache(&rig.stream().await), "miss");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(upstream.seen.count(), 2);
    }
}

#[tokio::test]
async fn many_who_ask_at_once_cost_one_request() {
    let upstream = Upstream::saying(vec![Step::Pause(Duration::from_millis(500)), json_answer(COUNT)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let replies =
        futures_util::future::join_all((0..8).map(|_| rig.post("/v1/messages/count_tokens", WHOLE))).await;
    assert!(replies.iter().all(|reply| reply.text() == COUNT));
    assert_eq!(upstream.seen.count(), 1);
}
