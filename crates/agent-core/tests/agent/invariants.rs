//! Whatever the API sends and whenever the run is stopped, the promises about events and the store hold.

use std::collections::HashSet;
use std::time::Duration;

use agent_core::{AgentEvent, RunLimits};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::fixture::{Fixture, collect, limits};
use crate::support::server::{Piece, Reply, answer, broken, call, cut_call, text};

fn a_call() -> impl Strategy<Value = Value> {
    let tools = prop_oneof![Just("look"), Just("change"), Just("act"), Just("unknown")];
    let ways = prop_oneof![4 => Just(""), 1 => Just("fail"), 1 => Just("panic"), 1 => Just("hang")];
    (tools, "[abc]", 0u64..4, ways)
        .prop_map(|(tool, path, ms, what)| call("", tool, json!({"path": path, "ms": ms, "do": what})))
}

fn a_reply() -> impl Strategy<Value = Reply> {
    let calls = || prop::collection::vec(a_call(), 0..5);
    prop_oneof![
        6 => calls().prop_map(|calls| answer(std::iter::once(text("some words here")).chain(calls), "tool_use")),
        1 => Just(answer([text("done")], "end_turn")),
        1 => calls().prop_map(|calls| answer(calls.into_iter().chain([cut_call("", "change", "{\"pa")]), "max_tokens")),
        1 => calls().prop_map(|calls| broken(calls, Piece::Break)),
        1 => Just(Reply::Error(500, "api_error", "oh")),
        1 => Just(Reply::Error(400, "invalid_request_error", "no")),
        1 => Just(answer([], "pause_turn")),
        1 => Just(answer([text("no")], "refusal")),
    ]
}

/// Ids are given by the server, so no two calls of a script have the same.
fn number(replies: Vec<Reply>) -> Vec<Reply> {
    let mut next = 0;
    let mut replies = replies;
    for reply in &mut replies {
        let Reply::Stream(pieces) = reply else { continue };
        for piece in pieces {
            if let Piece::Event(event) = piece
                && event["content_block"]["type"] == "tool_use"
            {
                next += 1;
                event["content_block"]["id"] = json!(format!("t{next}"));
            }
        }
    }
    replies
}

/// Every call that is stored and followed by another message has its result in that message.
fn assert_repaired(stored: &[(String, Value)]) {
    for pair in stored.windows(2) {
        let ids = |message: &Value, kind: &str, id: &str| -> HashSet<String> {
            let blocks = message.as_array().map(Vec::as_slice).unwrap_or_default();
            let ids = blocks
                .iter()
                .filter(|block| block["type"] == kind)
                .map(|block| block[id].to_string());
            ids.collect()
        };
        assert_eq!(
            ids(&pair[0].1, "tool_use", "id"),
            ids(&pair[1].1, "tool_result", "tool_use_id")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn events_and_store_keep_their_promises(
        replies in prop::collection::vec(a_reply(), 1..6),
        cancel_after in prop::option::of(0usize..40),
        timeout_ms in 50u64..400,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new(number(replies)).await;
            let session = fixture.session().await;
            let mut handle = session.run("go", RunLimits { timeout: Duration::from_millis(timeout_ms), ..limits() });
            let control = handle.control.clone();
            let (sender, events) = tokio::sync::mpsc::channel(1024);
            let mut inner = std::mem::replace(&mut handle.events, events);
            let mut seen = 0;
            let forward = async {
                while let Some(event) = inner.recv().await {
                    if cancel_after == Some(seen) {
                        control.cancel();
                    }
                    seen += 1;
                    sender.send(event).await.unwrap();
                }
                drop(sender);
            };
            // Checks the order of events while it collects them.
            let ran = tokio::join!(forward, collect(handle)).1;
            let acknowledged = ran.count(|event| matches!(event, AgentEvent::MessageStored { .. }));
            let stored = fixture.stored().await;
            assert_eq!(stored.len(), acknowledged);
            assert_repaired(&stored);

            // Whatever happened, the next prompt works.
            while fixture.server.left() > 0 {
                fixture.server.drop_next();
            }
            fixture.server.script([answer([text("fine")], "end_turn")]);
            let next = collect(session.run("go on", limits())).await;
            assert_eq!(next.finished.text, "fine", "{:?}", next.finished);
            assert_repaired(&fixture.stored().await);
        });
    }
}
