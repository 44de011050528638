use super::*;
use crate::digest::random_for;
use crate::models::ModelEntry;
use crate::validate::{self, Terms};
use proptest::prelude::*;

fn request(extra: Value) -> Request {
    let mut body = json!({
        "model": "claude-opus-5-5", "max_tokens": 4000,
        "messages": [{ "role": "user", "content": "hello" }],
    });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let models = ModelEntry::catalogue();
    let terms = Terms {
        version: crate::ApiVersion::V2026_10_21,
        has_beta: false,
        models: &models,
    };
    validate::request(body.to_string().as_bytes(), terms).unwrap()
}

fn answer(blocks: Vec<Block>, extra: Value) -> Answer {
    let request = request(extra);
    let reply = Reply {
        blocks,
        ..Default::default()
    };
    Answer::new(
        reply,
        &request,
        CacheUse {
            input: 3,
            ..Default::default()
        },
        &mut random_for(1, 1, b"x"),
    )
}

/// Puts a stream together as a client does; an oracle written apart from the events' own code.
fn put_together(answer: Answer) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    let mut stopped = false;
    for event in Events::new(answer, random_for(9, 9, b"cuts")) {
        assert_eq!(event.data["type"], event.name);
        assert!(!stopped, "nothing follows message_stop");
        let index = event.data["index"].as_u64().unwrap_or(0) as usize;
        match event.name {
            "message_start" => message = event.data["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), index);
                content.push(event.data["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let delta = &event.data["delta"];
                let block = &mut message["content"][index];
                for (kind, field) in [
                    ("text_delta", "text"),
                    ("thinking_delta", "thinking"),
                    ("signature_delta", "signature"),
                ] {
                    if delta["type"] == kind {
                        let joined = format!(
                            "{}{}",
                            block[field].as_str().unwrap(),
                            delta[field].as_str().unwrap()
                        );
                        block[field] = json!(joined);
                    }
                }
                if delta["type"] == "input_json_delta" {
                    inputs[index].push_str(delta["partial_json"].as_str().unwrap());
                }
            }
            "content_block_stop" if message["content"][index]["type"] == "tool_use" => {
                message["content"][index]["input"] =
                    serde_json::from_str(&inputs[index]).unwrap_or_else(|_| json!({}));
            }
            "message_delta" => {
                for key in ["stop_reason", "stop_sequence"] {
                    message[key] = event.data["delta"][key].clone();
                }
                message["usage"] = event.data["usage"].clone();
            }
            "message_stop" => stopped = true,
            _ => {}
        }
    }
    assert!(stopped);
    message
}

#[test]
fn a_stream_says_what_the_document_says() {
    let mut random = random_for(4, 4, b"");
    let blocks = vec![
        Block::Thinking("Let me think about\nthis.".into()),
        Block::Text("  Words, with  spaces\n\nand ünïcödé 😀 kept. ".into()),
        Block::tool_use(
            "read_file",
            &json!({ "path": "naïve 😀.txt", "limit": 3 }),
            &mut random,
        ),
        Block::tool_use("list_directory", &json!({}), &mut random),
        Block::Whole(json!({ "type": "redacted_thinking", "data": "abc" })),
    ];
    for thinking in [
        json!({ "type": "adaptive" }),
        json!({ "type": "adaptive", "display": "omitted" }),
    ] {
        let answer = answer(blocks.clone(), json!({ "thinking": thinking }));
        assert_eq!(put_together(answer.clone()), answer.to_json());
        assert_eq!(answer.to_json()["content"][2]["input"]["path"], "naïve 😀.txt");
    }
}

#[test]
fn tool_input_begins_empty_and_is_cut_inside_escapes_sometimes() {
    let text = "é".repeat(400);
    let answer = answer(
        vec![Block::tool_use(
            "t",
            &json!({ "text": text }),
            &mut random_for(1, 1, b""),
        )],
        json!({}),
    );
    let pieces: Vec<String> = Events::new(answer, random_for(2, 2, b""))
        .filter(Event::is_content)
        .map(|event| event.data["delta"]["partial_json"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(pieces[0], "");
    let in_escape = |piece: &&String| {
        (1..6).any(|cut| piece.len() >= cut && piece[piece.len() - cut..].starts_with("\\u"))
    };
    assert!(pieces.iter().filter(in_escape).count() > 3);
}

#[test]
fn limits_cut_text_and_tool_input() {
    let text = answer(
        vec![Block::Text("word ".repeat(100))],
        json!({ "max_tokens": 10 }),
    );
    assert_eq!(text.to_json()["stop_reason"], "max_tokens");
    assert_eq!(text.to_json()["content"][0]["text"].as_str().unwrap().len(), 40);
    assert_eq!(text.output_tokens, 10);

    let call = Block::tool_use(
        "write_file",
        &json!({ "path": "a", "content": "x".repeat(200) }),
        &mut random_for(1, 1, b""),
    );
    let cut = answer(vec![call], json!({ "max_tokens": 20 }));
    assert_eq!(cut.to_json()["content"][0]["input"], json!({}));
    assert_eq!(cut.to_json()["stop_reason"], "max_tokens");
    let pieces: String = Events::new(cut, random_for(2, 2, b""))
        .filter(Event::is_content)
        .map(|event| event.data["delta"]["partial_json"].as_str().unwrap().to_owned())
        .collect();
    assert!(pieces.starts_with("{\"path\":\"a\"") && serde_json::from_str::<Value>(&pieces).is_err());

    let warm = answer(vec![Block::Text("anything".into())], json!({ "max_tokens": 0 }));
    assert_eq!(
        (warm.to_json()["content"].clone(), warm.output_tokens),
        (json!([]), 0)
    );
}

#[test]
fn a_stop_sequence_ends_the_answer() {
    let blocks = vec![
        Block::Text("one STOP two END".into()),
        Block::Text("never".into()),
    ];
    let stopped = answer(blocks, json!({ "stop_sequences": ["END", "STOP"] })).to_json();
    assert_eq!(stopped["content"], json!([{ "type": "text", "text": "one " }]));
    assert_eq!(
        (&stopped["stop_reason"], &stopped["stop_sequence"]),
        (&json!("stop_sequence"), &json!("STOP"))
    );
}

#[test]
fn thinking_is_left_out_when_nobody_asked_for_it() {
    let silent = answer(
        vec![Block::Thinking("hm".into()), Block::Text("hi".into())],
        json!({}),
    );
    assert_eq!(silent.to_json()["content"].as_array().unwrap().len(), 1);
}

#[test]
fn events_end_with_padding_and_an_empty_line() {
    assert_eq!(
        &Event::ping().to_bytes(3)[..],
        b"event: ping\ndata: {\"type\":\"ping\"}   \n\n"
    );
}

proptest! {
    #[test]
    fn any_text_arrives_whole(text in "\\PC{1,80}", words in "[ \na-zé😀]{0,60}") {
        let answer = answer(vec![Block::Text(format!("{text}{words}"))], json!({}));
        prop_assert_eq!(put_together(answer.clone()), answer.to_json());
    }
}
