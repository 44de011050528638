//! Streams: the same content as the document, the same bytes under the same seed.

use agent_simulator::{Latency, Scenario, SimulatorConfig};
use serde_json::{Value, json};

use crate::client::{Answer, End, hello, start};

/// Puts the events of a stream together.
fn message_of(answer: &Answer) -> Value {
    let mut message = Value::Null;
    let mut input = String::new();
    for line in answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
    {
        let data: Value = serde_json::from_str(line).unwrap();
        let index = data["index"].as_u64().unwrap_or(0) as usize;
        match data["type"].as_str().unwrap() {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => message["content"]
                .as_array_mut()
                .unwrap()
                .push(data["content_block"].clone()),
            "content_block_delta" => {
                let delta = &data["delta"];
                let kind = delta["type"].as_str().unwrap();
                let field = kind.strip_suffix("_delta").unwrap();
                if kind == "input_json_delta" {
                    input.push_str(delta["partial_json"].as_str().unwrap());
                } else {
                    let old = message["content"][index][field].as_str().unwrap().to_owned();
                    message["content"][index][field] = json!(old + delta[field].as_str().unwrap());
                }
            }
            "content_block_stop" if message["content"][index]["type"] == "tool_use" => {
                let text = std::mem::take(&mut input);
                let parsed = if text.is_empty() {
                    json!({})
                } else {
                    serde_json::from_str(&text).unwrap()
                };
                message["content"][index]["input"] = parsed;
            }
            "message_delta" => {
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["usage"] = data["usage"].clone();
            }
            _ => {}
        }
    }
    message
}

fn scenario(toml: &str) -> SimulatorConfig {
    SimulatorConfig {
        scenario: Some(toml.parse::<Scenario>().unwrap()),
        seed: 11,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_stream_and_a_document_carry_the_same_content() {
    let running = start(scenario(
        r#"
        [[steps]]
        times = 2
        thinking = "Thinking about it, at some length."
        text = "Some words — and ünïcode."
        tool_calls = [{ name = "a", input = { text = "naïve 😀", list = [1, 2.5, true] } }, { name = "b" }]
    "#,
    ))
    .await;
    let mut body = hello(true);
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": 1024 });
    body["max_tokens"] = json!(4000);
    body["tools"] = json!([{ "name": "a", "input_schema": { "type": "object" } }, { "name": "b", "input_schema": { "type": "object" } }]);
    let streamed = running.post(&body).await;
    assert_eq!(
        streamed.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(streamed.end, End::Complete);
    body["stream"] = json!(false);
    let document = running.post(&body).await.json();
    let strip = |mut message: Value| {
        message["id"] = Value::Null;
        for block in message["content"].as_array_mut().unwrap() {
            block.as_object_mut().unwrap().remove("id");
        }
        message
    };
    assert_eq!(strip(message_of(&streamed)), strip(document.clone()));
    assert_eq!(
        (
            &document["stop_reason"],
            document["content"].as_array().unwrap().len()
        ),
        (&json!("tool_use"), 4)
    );
    let events = streamed.events();
    assert_eq!(events[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(events[events.len() - 2..], ["message_delta", "message_stop"]);
    assert!(
        streamed
            .text()
            .lines()
            .any(|line| line.starts_with("data: ") && line.ends_with("}  ")),
        "padding"
    );
}

#[tokio::test]
async fn what_was_thought_is_accepted_back_unchanged_only() {
    let running = start(SimulatorConfig::default()).await;
    let mut body = hello(false);
    body["thinking"] = json!({ "type": "adaptive" });
    let content = running.post(&body).await.json()["content"].clone();
    assert_eq!(content[0]["type"], "thinking");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": content }));
    messages.push(json!({ "role": "user", "content": "hello again" }));
    assert_eq!(running.post(&body).await.status, 200);
    body["messages"][1]["content"][0]["thinking"] = json!("Something else.");
    let refused = running.post(&body).await;
    assert_eq!(
        refused.error().1,
        "messages.1.content.0: Invalid `signature` in `thinking` block"
    );
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let mut bodies = Vec::new();
    for seed in [3, 3, 4] {
        let running = start(SimulatorConfig {
            seed,
            ..Default::default()
        })
        .await;
        let mut all = Vec::new();
        for stream in [true, false, true] {
            all.push(running.post(&hello(stream)).await.body);
        }
        bodies.push(all);
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_ne!(bodies[0], bodies[2]);
}

#[tokio::test]
async fn a_marked_prompt_is_written_to_the_cache_and_read_from_it() {
    let running = start(SimulatorConfig::default()).await;
    let mut body = hello(true);
    body["system"] =
        json!([{ "type": "text", "text": "long ".repeat(2000), "cache_control": { "type": "ephemeral" } }]);
    let usage: Vec<Value> = [running.post(&body).await, running.post(&body).await]
        .iter()
        .map(|answer| message_of(answer)["usage"].clone())
        .collect();
    assert_eq!(
        (
            &usage[0]["cache_creation_input_tokens"],
            &usage[0]["cache_read_input_tokens"]
        ),
        (&json!(2500), &json!(0))
    );
    assert_eq!(
        (
            &usage[1]["cache_creation_input_tokens"],
            &usage[1]["cache_read_input_tokens"]
        ),
        (&json!(0), &json!(2500))
    );
    assert_eq!(usage[0]["cache_creation"]["ephemeral_5m_input_tokens"], 2500);
}

#[tokio::test]
async fn delays_are_kept() {
    let config = SimulatorConfig {
        first_token_delay: "40ms".parse::<Latency>().unwrap(),
        token_delay: "2ms".parse().unwrap(),
        ..Default::default()
    };
    let running = start(config).await;
    let begun = std::time::Instant::now();
    let answer = running.post(&hello(true)).await;
    let deltas = answer
        .events()
        .iter()
        .filter(|event| *event == "content_block_delta")
        .count() as u64;
    assert!(
        begun.elapsed().as_millis() as u64 >= 40 + 2 * deltas,
        "{deltas} {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn an_answer_over_its_limit_is_cut() {
    let running = start(SimulatorConfig::default()).await;
    for stream in [true, false] {
        let mut body = hello(stream);
        body["max_tokens"] = json!(5);
        let answer = running.post(&body).await;
        let message = if stream {
            message_of(&answer)
        } else {
            answer.json()
        };
        assert_eq!(
            (&message["stop_reason"], &message["usage"]["output_tokens"]),
            (&json!("max_tokens"), &json!(5))
        );
    }
}
