//! Upstreams that break, at every stage. No answer may end as if it were whole.

use std::time::Duration;

use super::rig::{Choice, Rig, WHOLE};
use super::upstream::{
    DELTA, END, MESSAGE_DELTA, MESSAGE_START, MESSAGE_STOP, PING, STREAM_HEAD, Step, Upstream, chunk, send,
};
use super::wire::Reply;

const SHORT: Duration = Duration::from_millis(250);

async fn streamed(steps: Vec<Step>, choice: Choice) -> (Reply, Rig) {
    let upstream = Upstream::saying(steps).await;
    let rig = Rig::with(&upstream.url(), choice).await;
    (rig.stream().await, rig)
}

/// The stream ended with an error event of the gateway's, after `before`.
fn ends_with_error(reply: &Reply, before: &str, kind: &str) {
    assert_eq!(reply.status, 200);
    assert!(reply.whole, "{reply:?}");
    let rest = reply
        .text()
        .strip_prefix(before)
        .unwrap_or_else(|| panic!("{reply:?}"));
    let data = rest
        .strip_prefix("event: error\ndata: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    let data: serde_json::Value = serde_json::from_str(data.unwrap_or_else(|| panic!("{rest}"))).unwrap();
    assert_eq!(
        (data["type"].as_str(), data["error"]["type"].as_str()),
        (Some("error"), Some(kind))
    );
    assert!(data["request_id"].as_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_break_between_events_is_told_as_an_event() {
    let before = [MESSAGE_START, DELTA].concat();
    for end in [
        vec![Step::Close],
        vec![Step::Pause(SHORT), Step::Reset],
        vec![send(END)],
    ] {
        let steps = [vec![send(STREAM_HEAD), send(chunk(&before))], end].concat();
        let (reply, rig) = streamed(steps, Choice::default()).await;
        ends_with_error(&reply, &before, "api_error");
        rig.figure("claude.requests", &[("outcome", "error")], 1.0).await;
    }
}

#[tokio::test]
async fn a_break_within_an_event_ends_the_connection() {
    for cut in [
        "event: content_blo",
        "event: content_block_delta\n",
        "event: content_block_delta\ndata: {\"ty",
        "event: x\ndata: 1\n",
    ] {
        for end in [Step::Close, send(END)] {
            let begun = MESSAGE_START.to_owned() + cut;
            let (reply, _rig) = streamed(
                vec![send(STREAM_HEAD), send(chunk(&begun)), end],
                Choice::default(),
            )
            .await;
            assert!(!reply.whole, "{cut}: {reply:?}");
            assert_eq!(reply.text(), begun);
        }
    }
}

#[tokio::test]
async fn an_empty_stream_is_no_message() {
    let (reply, _rig) = streamed(vec![send(STREAM_HEAD), send(END)], Choice::default()).await;
    ends_with_error(&reply, "", "api_error");
}

#[tokio::test]
async fn a_stream_with_a_length_is_cut() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 10000\r\n\r\n";
    let (reply, _rig) = streamed(
        vec![send(head), send(MESSAGE_START), Step::Close],
        Choice::default(),
    )
    .await;
    assert!(!reply.whole);
    assert_eq!(reply.text(), MESSAGE_START);
}

#[tokio::test]
async fn an_error_event_of_the_upstream_is_the_last_word() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\",\"details\":null}}\n\n";
    for before in ["", MESSAGE_START] {
        let body = before.to_owned() + error;
        let (reply, rig) = streamed(
            vec![send(STREAM_HEAD), send(chunk(&body)), send(END)],
            Choice::default(),
        )
        .await;
        assert_eq!((reply.text(), reply.whole), (body.as_str(), true));
        rig.figure("claude.errors", &[("error.type", "overloaded_error")], 1.0)
            .await;
    }
}

#[tokio::test]
async fn pings_alone_are_no_life() {
    let pings = (0..40).flat_map(|_| [send(chunk(PING)), Step::Pause(SHORT / 5)]);
    let steps = [send(STREAM_HEAD), send(chunk(MESSAGE_START))]
        .into_iter()
        .chain(pings)
        .chain([Step::Hang]);
    let (reply, _rig) = streamed(steps.collect(), Choice::idle(SHORT)).await;
    assert!(reply.text().contains(PING), "pings are relayed");
    let pings = reply.text().matches(PING).count();
    assert!(pings < 40, "{pings} pings");
    ends_with_error(
        &reply,
        &(MESSAGE_START.to_owned() + &PING.repeat(pings)),
        "timeout_error",
    );
}

#[tokio::test]
async fn events_keep_a_stream_alive_past_the_idle_time() {
    let deltas = (0..8).flat_map(|_| [send(chunk(DELTA)), Step::Pause(SHORT / 2)]);
    let steps = [send(STREAM_HEAD), send(chunk(MESSAGE_START))]
        .into_iter()
        .chain(deltas);
    let steps = steps.chain([send(chunk(&[MESSAGE_DELTA, MESSAGE_STOP].concat())), send(END)]);
    let (reply, _rig) = streamed(steps.collect(), Choice::idle(SHORT * 2)).await;
    assert!(reply.text().ends_with(MESSAGE_STOP), "{reply:?}");
}

#[tokio::test]
async fn a_stream_has_a_total_time() {
    let deltas = (0..200).flat_map(|_| [send(chunk(DELTA)), Step::Pause(SHORT / 5)]);
    let mut choice = Choice::default();
    choice.timeouts.total = SHORT * 2;
    let (reply, _rig) = streamed([send(STREAM_HEAD)].into_iter().chain(deltas).collect(), choice).await;
    let count = reply.text().matches(DELTA).count();
    assert!(count < 200);
    ends_with_error(&reply, &DELTA.repeat(count), "timeout_error");
}

#[tokio::test]
async fn silence_before_the_head_is_504() {
    let mut choice = Choice::default();
    choice.timeouts.first_byte = SHORT;
    let (reply, _rig) = streamed(vec![Step::Hang], choice.clone()).await;
    assert_eq!((reply.status, reply.error().as_str()), (504, "timeout_error"));
    // A whole answer begins when it is ready, so it has the total time.
    choice.timeouts.total = SHORT * 2;
    let upstream = Upstream::saying(vec![Step::Hang]).await;
    let rig = Rig::with(&upstream.url(), choice).await;
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let reply = rig.post(path, WHOLE).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (504, "timeout_error"),
            "{path}"
        );
    }
    let reply = rig.get("/v1/models").await;
    assert_eq!((reply.status, reply.error().as_str()), (504, "timeout_error"));
}

#[tokio::test]
async fn nobody_there_or_nonsense_is_502() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let rig = Rig::before(&nobody).await;
    for reply in [
        rig.stream().await,
        rig.post("/v1/messages/count_tokens", WHOLE).await,
        rig.get("/v1/files").await,
    ] {
        assert_eq!((reply.status, reply.error().as_str()), (502, "api_error"));
        assert!(
            !reply.text().contains(&nobody),
            "where the upstream is, is not for clients"
        );
    }
    for steps in [
        vec![Step::Close],
        vec![Step::Reset],
        vec![send("SSH-2.0-OpenSSH\r\n"), Step::Close],
    ] {
        let (reply, _rig) = streamed(steps, Choice::default()).await;
        assert_eq!((reply.status, reply.error().as_str()), (502, "api_error"));
    }
}

#[tokio::test]
async fn half_a_document_is_never_whole() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for (framing, end) in [
        ("content-length: 100\r\n\r\n{\"a\":", Step::Close),
        ("transfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n", Step::Reset),
    ] {
        let upstream =
            Upstream::saying(vec![send(format!("{head}{framing}")), Step::Pause(SHORT), end]).await;
        let rig = Rig::before(&upstream.url()).await;
        let reply = rig.post("/v1/messages", WHOLE).await;
        assert_eq!((reply.status, reply.whole), (200, false));
        let reply = rig.get("/v1/files").await;
        assert!(!reply.whole);
        // What is read whole before a byte of it is passed on becomes an error.
        let reply = rig.post("/v1/messages/count_tokens", WHOLE).await;
        assert_eq!((reply.status, reply.error().as_str()), (502, "api_error"));
    }
}
