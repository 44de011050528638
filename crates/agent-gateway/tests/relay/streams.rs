//! Streams that go well: bytes, writes, figures, and what a slow reader costs.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::rig::{Rig, STREAM, WHOLE};
use super::upstream::{
    DELTA, END, MESSAGE_DELTA, MESSAGE_START, MESSAGE_STOP, PING, STREAM_HEAD, Step, Upstream, chunk, send,
    whole_stream,
};
use super::wire::{TOO_LONG, find};

#[tokio::test]
async fn a_stream_passes_byte_for_byte_and_is_counted() {
    let body = whole_stream();
    // Cut at places that mean nothing.
    let pieces: Vec<Step> = body
        .as_bytes()
        .chunks(37)
        .map(|piece| send(chunk(std::str::from_utf8(piece).unwrap())))
        .collect();
    let steps = [vec![send(STREAM_HEAD)], pieces, vec![send(END)]].concat();
    let upstream = Upstream::saying(steps).await;
    let rig = Rig::before(&upstream.url()).await;
    let reply = rig.stream().await;
    assert_eq!(
        (reply.status, reply.text(), reply.whole),
        (200, body.as_str(), true)
    );
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(reply.header("content-encoding"), None);
    rig.figure(
        "gen_ai.client.token.usage",
        &[("gen_ai.token.type", "input")],
        15.0,
    )
    .await;
    rig.figure(
        "gen_ai.client.token.usage",
        &[("gen_ai.token.type", "output")],
        42.0,
    )
    .await;
    rig.figure("claude.requests", &[("outcome", "ok")], 1.0).await;
    let statistics = |name| rig.collector.get_metric_statistics(name).unwrap().count;
    assert_eq!(statistics("gen_ai.client.operation.time_to_first_chunk"), 1);
    assert_eq!(statistics("gen_ai.client.operation.time_per_output_chunk"), 1);
    rig.figure("agent_cost_usd_total", &[], (40.0 + 1.0 + 840.0) / 1e6)
        .await;
}

#[tokio::test]
async fn the_body_decides_and_not_accept() {
    let upstream = Upstream::saying(vec![send(STREAM_HEAD), send(chunk(&whole_stream())), send(END)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let reply = rig
        .post_with("/v1/messages", "accept: application/json\r\n", STREAM)
        .await;
    assert_eq!(reply.text(), whole_stream());
}

#[tokio::test]
async fn each_event_comes_when_it_is_sent() {
    let pause = Duration::from_millis(300);
    let upstream = Upstream::saying(vec![
        send(STREAM_HEAD),
        send(chunk(MESSAGE_START)),
        Step::Pause(pause),
        send(chunk(PING)),
        Step::Pause(pause),
        send(chunk(DELTA)),
        send(chunk(MESSAGE_DELTA)),
        send(chunk(MESSAGE_STOP)),
        send(END),
    ])
    .await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = rig.asked(STREAM).await;
    let (mut bytes, mut events) = (Vec::new(), 0);
    let begun = std::time::Instant::now();
    for (event, latest) in [("message_start\n", 1), ("ping\n", 2)] {
        while find(&bytes, format!("event: {event}").as_bytes()).is_none() {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
        events += 1;
        assert!(
            find(&bytes, b"event: message_stop").is_none(),
            "{event} came with the rest"
        );
        assert!(begun.elapsed() >= pause * (latest - 1) / 2);
    }
    assert_eq!(events, 2);
}

#[tokio::test]
async fn events_that_are_ready_together_go_together() {
    let many: String = std::iter::once(chunk(MESSAGE_START))
        .chain((0..64).map(|_| chunk(DELTA)))
        .chain([chunk(MESSAGE_DELTA), chunk(MESSAGE_STOP), END.to_owned()])
        .collect();
    let upstream = Upstream::saying(vec![send(STREAM_HEAD.to_owned() + &many)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let reply = rig.stream().await;
    assert!(reply.whole && reply.text().ends_with(MESSAGE_STOP));
    assert!(reply.chunks <= 12, "67 events in {} pieces", reply.chunks);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstreams_request() {
    for (steps, body) in [
        (
            vec![send(STREAM_HEAD), send(chunk(MESSAGE_START)), Step::Hang],
            STREAM,
        ),
        (vec![Step::Hang], WHOLE),
        (vec![Step::Hang], STREAM),
    ] {
        let upstream = Upstream::saying(steps).await;
        let rig = Rig::before(&upstream.url()).await;
        let stream = rig.asked(body).await;
        while upstream.seen.count() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
        tokio::time::timeout(TOO_LONG, upstream.seen.gone.notified())
            .await
            .expect("the upstream's request goes on");
        rig.figure("claude.requests", &[("outcome", "cancelled")], 1.0)
            .await;
    }
}

#[tokio::test]
async fn a_cut_stream_still_costs_what_its_start_said() {
    let upstream = Upstream::saying(vec![
        send(STREAM_HEAD),
        send(chunk(MESSAGE_START)),
        send(chunk(DELTA)),
        Step::Hang,
    ])
    .await;
    let rig = Rig::before(&upstream.url()).await;
    let mut stream = rig.asked(STREAM).await;
    let mut bytes = Vec::new();
    while find(&bytes, b"text_delta").is_none() {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    drop(stream);
    rig.figure(
        "gen_ai.client.token.usage",
        &[("gen_ai.token.type", "input")],
        15.0,
    )
    .await;
    rig.figure("agent_cost_usd_total", &[], (40.0 + 1.0 + 20.0) / 1e6)
        .await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_a_bounded_part() {
    let flood = vec![b'x'; 64 << 10];
    let event = [format!("{:x}\r\n", flood.len()).as_bytes(), &flood, b"\r\n"].concat();
    let upstream = Upstream::saying(vec![send(STREAM_HEAD), Step::Flood(event)]).await;
    let rig = Rig::before(&upstream.url()).await;
    let _stream = rig.asked(STREAM).await;
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = *upstream.seen.flooded.lock();
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    // The system's socket buffers hold most of this; without a bound it would go on for ever.
    assert!(before < 24 << 20, "{before} bytes are held");
}
