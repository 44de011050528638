//! Events to messages: what each stream yields, and what is refused.

use crate::streams::{STREAMS, accumulate, parse, stream};
use agent_claude::messages::{ContentBlock, Message, StopReason};
use agent_claude::stream::{Accumulator, AccumulatorLimits, Delta, StreamError, StreamEvent};
use serde_json::{Value, json};

fn message(name: &str) -> Message {
    accumulate(&parse(stream(name))).expect("the stream yields a message")
}

#[test]
fn every_stream_yields_its_message() {
    let mut messages = serde_json::Map::new();
    for (name, bytes) in STREAMS {
        let value = match accumulate(&parse(bytes)) {
            Ok(message) => serde_json::to_value(message).unwrap(),
            Err(error) => Value::String(error.to_string()),
        };
        messages.insert((*name).to_owned(), value);
    }
    insta::assert_json_snapshot!(messages);
}

#[test]
fn tool_input_is_put_together_from_its_pieces() {
    let message = message("thinking_and_tools");
    let inputs: Vec<Value> = message
        .tool_uses()
        .map(|call| Value::Object(call.input_object().unwrap().clone()))
        .collect();
    assert_eq!(
        inputs,
        [
            json!({"path": "src/café/😀.rs", "limit": 120, "exact": 0.1}),
            json!({"steps": [{"step": "read", "done": false}, {"step": "a\"b\\"}]}),
            json!({}),
        ]
    );
    assert_eq!(message.stop_reason, Some(StopReason::ToolUse));
    assert_eq!(
        (message.usage.output_tokens, message.usage.prompt_tokens()),
        (Some(189), 2572)
    );
}

#[test]
fn input_that_was_cut_off_is_never_taken_for_a_call() {
    let message = message("max_tokens");
    assert_eq!(message.stop_reason, Some(StopReason::MaxTokens));
    let call = message.tool_uses().next().unwrap();
    assert!(call.input_object().is_err());
    assert_eq!(
        call.input,
        json!("{\"path\": \"a.txt\", \"content\": \"half of\\u00")
    );
}

#[test]
fn a_signature_replaces_the_one_before() {
    let ContentBlock::Thinking(block) = &message("omitted_thinking").content[0] else {
        panic!("not thinking")
    };
    assert_eq!(
        (block.thinking.as_str(), block.signature.as_str()),
        ("", "EosnCkYICxIMMb3LzNrMu")
    );
}

fn event(data: Value) -> StreamEvent {
    StreamEvent::parse(None, &data.to_string()).expect("the event parses")
}

fn start() -> StreamEvent {
    StreamEvent::MessageStart {
        message: Box::new(Message::new("msg_1", "m")),
    }
}

fn block(index: usize, block: Value) -> StreamEvent {
    event(json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn text_block(index: usize) -> StreamEvent {
    block(index, json!({"type": "text", "text": ""}))
}

fn delta(index: usize, delta: Delta) -> StreamEvent {
    StreamEvent::ContentBlockDelta { index, delta }
}

fn stop(index: usize) -> StreamEvent {
    StreamEvent::ContentBlockStop { index }
}

#[test]
fn events_in_an_impossible_order_are_refused() {
    let text = |text: &str| Delta::Text(text.into());
    for (events, reason) in [
        (vec![text_block(0)], "before message_start"),
        (vec![StreamEvent::MessageStop], "before message_start"),
        (vec![start(), start()], "second message_start"),
        (vec![start(), delta(0, text("x"))], "only 0 blocks"),
        (vec![start(), stop(3)], "block 3"),
        (vec![start(), text_block(1)], "block 1 starts where block 0"),
        (
            vec![start(), text_block(0), text_block(0)],
            "block 0 starts where block 1",
        ),
        (
            vec![start(), text_block(0), stop(0), delta(0, text("x"))],
            "after its stop",
        ),
        (vec![start(), text_block(0), stop(0), stop(0)], "second stop"),
        (
            vec![start(), text_block(0), delta(0, Delta::InputJson("{".into()))],
            "input_json_delta for block 0",
        ),
        (
            vec![start(), text_block(0), delta(0, Delta::Signature("s".into()))],
            "signature_delta for block 0",
        ),
        (
            vec![start(), StreamEvent::MessageStop, text_block(0)],
            "after message_stop",
        ),
        (
            vec![start(), StreamEvent::MessageStop, StreamEvent::MessageStop],
            "after message_stop",
        ),
        (
            vec![start(), StreamEvent::MessageStop, start()],
            "after message_stop",
        ),
    ] {
        match accumulate(&events) {
            Err(StreamError::Protocol(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{events:?}: {other:?}"),
        }
    }
}

#[test]
fn pings_and_what_is_unknown_are_allowed_anywhere() {
    let noise = || {
        [
            StreamEvent::Ping,
            StreamEvent::Unknown {
                name: "later".into(),
                data: "?".into(),
            },
        ]
    };
    let mut events = noise().to_vec();
    for event in [
        start(),
        text_block(0),
        delta(0, Delta::Unknown(json!({"type": "x"}))),
        stop(0),
        StreamEvent::MessageStop,
    ] {
        events.push(event);
        events.extend(noise());
    }
    assert_eq!(accumulate(&events).unwrap().content, [ContentBlock::text("")]);
}

#[test]
fn blocks_may_interleave() {
    let events = [
        start(),
        text_block(0),
        text_block(1),
        delta(1, Delta::Text("b".into())),
        delta(0, Delta::Text("a".into())),
        delta(1, Delta::Text("B".into())),
        stop(1),
        stop(0),
        StreamEvent::MessageStop,
    ];
    assert_eq!(
        accumulate(&events).unwrap().content,
        [ContentBlock::text("a"), ContentBlock::text("bB")]
    );
}

#[test]
fn empty_input_is_an_empty_object_and_input_that_came_whole_stays() {
    let tool = |input: Value| {
        block(
            0,
            json!({"type": "tool_use", "id": "t", "name": "n", "input": input}),
        )
    };
    let input = |first: Value, pieces: &[&str]| {
        let mut events = vec![start(), tool(first)];
        events.extend(
            pieces
                .iter()
                .map(|piece| delta(0, Delta::InputJson((*piece).into()))),
        );
        events.extend([stop(0), StreamEvent::MessageStop]);
        accumulate(&events)
            .unwrap()
            .tool_uses()
            .next()
            .unwrap()
            .input
            .clone()
    };
    assert_eq!(input(json!({}), &[]), json!({}));
    assert_eq!(input(json!({}), &["", " "]), json!({}));
    assert_eq!(input(Value::Null, &[""]), json!({}));
    assert_eq!(input(json!({"a": 1}), &[""]), json!({"a": 1}));
    assert_eq!(input(json!({}), &["{\"a\"", ": 2}"]), json!({"a": 2}));
    assert_eq!(
        input(json!({}), &["{\"a\": 2} trailing"]),
        json!("{\"a\": 2} trailing")
    );
}

#[test]
fn a_stream_without_an_end_is_truncated_wherever_it_was_cut() {
    let events = parse(stream("thinking_and_tools"));
    for cut in 0..events.len() {
        let expected = StreamError::Truncated { received: cut as u64 };
        assert_eq!(accumulate(&events[..cut]), Err(expected));
    }
}

#[test]
fn a_cut_stream_still_tells_what_it_cost() {
    let events = parse(stream("text"));
    let mut accumulator = Accumulator::new();
    assert!(accumulator.usage().is_none());
    accumulator.push(&events[0]).unwrap();
    assert_eq!(accumulator.usage().unwrap().input_tokens, Some(472));
    assert!(!accumulator.is_complete());
}

#[test]
fn the_apis_error_ends_the_message() {
    match accumulate(&parse(stream("error_in_the_middle"))) {
        Err(StreamError::Api(body)) => {
            assert_eq!(body.error.kind, "api_error");
            assert_eq!(body.request_id.as_deref(), Some("req_011CSHoEeqs5C35K2UUqR7Fy"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_has_limits() {
    let limits = AccumulatorLimits {
        max_blocks: 2,
        max_bytes: 1000,
    };
    let mut accumulator = Accumulator::with_limits(limits);
    accumulator.push(&start()).unwrap();
    accumulator.push(&text_block(0)).unwrap();
    accumulator.push(&text_block(1)).unwrap();
    assert_eq!(
        accumulator.push(&text_block(2)),
        Err(StreamError::TooLarge {
            what: "blocks",
            limit: 2
        })
    );

    let floods = [
        vec![text_block(0), delta(0, Delta::Text("x".repeat(50)))],
        vec![
            text_block(0),
            delta(0, Delta::Citation(json!({"cited_text": "x".repeat(50)}))),
        ],
        vec![block(0, json!({"type": "later", "x": "x".repeat(50)})), stop(0)],
        vec![event(
            json!({"type": "message_delta", "delta": {"a": "x".repeat(50)}}),
        )],
    ];
    for flood in floods {
        let mut accumulator = Accumulator::with_limits(AccumulatorLimits {
            max_blocks: usize::MAX,
            ..limits
        });
        accumulator.push(&start()).unwrap();
        let mut next = flood[0].clone();
        let mut result = Ok(());
        for round in 0..100 {
            if let StreamEvent::ContentBlockStart { index, .. } = &mut next {
                if round > 0 && matches!(flood[1], StreamEvent::ContentBlockDelta { .. }) {
                    next = flood[1].clone();
                } else {
                    *index = round;
                }
            }
            result = accumulator.push(&next);
            if result.is_err() {
                break;
            }
        }
        assert_eq!(
            result,
            Err(StreamError::TooLarge {
                what: "bytes",
                limit: 1000
            }),
            "{:?}",
            flood[0]
        );
    }
}
