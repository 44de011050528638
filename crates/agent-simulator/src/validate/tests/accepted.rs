//! What the API lets through, and the rules that depend on the version, the model or a header.

use super::*;

#[test]
fn what_the_api_lets_through_passes() {
    let thought = crate::digest::signature("hm");
    let cases = [
        (
            "/messages/1",
            json!({ "role": "user", "content": "and" }),
            "same roles in a row, and results of nothing are gone",
        ),
        (
            "/system",
            json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral", "ttl": "1h" } }]),
            "system blocks",
        ),
        (
            "/tools/-",
            json!({ "type": "web_search_20260318", "name": "web_search" }),
            "tools without a schema",
        ),
        (
            "/tool_choice",
            json!({ "type": "any", "disable_parallel_tool_use": true }),
            "a choice",
        ),
        (
            "/thinking",
            json!({ "type": "adaptive", "display": "omitted" }),
            "adaptive thinking",
        ),
        (
            "/messages/1/content/0",
            json!({ "type": "thinking", "thinking": "hm", "signature": thought }),
            "a thinking block come back",
        ),
        (
            "/messages/1/content/0",
            json!({ "type": "server_tool_use", "anything": 1 }),
            "replayed blocks",
        ),
        ("/max_tokens", json!(0), "warming the cache"),
        (
            "/messages/2/content/0/content",
            json!(null),
            "a result without content",
        ),
    ];
    for (pointer, value, what) in cases {
        let mut body = with(pointer, value);
        if pointer == "/messages/1" {
            body["messages"][2]["content"] = json!("done");
        }
        if let Err(error) = check(&body, ApiVersion::V2026_10_21) {
            panic!("{what}: {error}");
        }
    }
    let mut system = good();
    system["messages"]
        .as_array_mut()
        .unwrap()
        .insert(2, json!({ "role": "system", "content": "be brief" }));
    check(&system, ApiVersion::V2023_06_01).unwrap();
}

#[test]
fn thinking_must_come_back_as_it_went() {
    let signature = crate::digest::signature("step by step");
    let omitted = crate::digest::omitted_signature("step by step");
    for (thinking, signature, ok) in [
        ("step by step", &signature, true),
        ("step by  step", &signature, false),
        ("", &omitted, true),
        ("step", &omitted, false),
    ] {
        let block = json!({ "type": "thinking", "thinking": thinking, "signature": signature });
        assert_eq!(
            check(&with("/messages/1/content/0", block), ApiVersion::V2026_10_21).is_ok(),
            ok,
            "{thinking:?}"
        );
    }
}

#[test]
fn the_older_version_and_older_models_accept_more() {
    let older = |pointer: &str, value: Value, model: &str| {
        let mut body = with(pointer, value);
        body["model"] = json!(model);
        check(&body, ApiVersion::V2023_06_01).err()
    };
    assert_eq!(older("/temperature", json!(0), "claude-sonnet-4-5"), None);
    assert_eq!(older("/temperature", json!(1.0), "claude-opus-5-5"), None);
    assert!(
        older("/temperature", json!(0.2), "claude-opus-5-5")
            .unwrap()
            .starts_with("400 temperature: only the default")
    );
    assert!(
        older("/temperature", json!(3), "claude-sonnet-4-5")
            .unwrap()
            .starts_with("400 temperature: Input should be from 0")
    );
    let prefill = |text: &str| json!({ "role": "assistant", "content": text });
    assert_eq!(older("/messages/-", prefill("So"), "claude-sonnet-4-5"), None);
    assert!(
        older("/messages/-", prefill("So "), "claude-sonnet-4-5")
            .unwrap()
            .contains("trailing whitespace")
    );
    assert_eq!(
        older(
            "/messages/0/content",
            json!([{ "type": "text", "text": "a", "citations": [{}] }]),
            "claude-opus-5-5"
        ),
        None
    );
}

#[test]
fn a_prompt_has_to_fit_the_window() {
    let mut body = with("/messages/0/content", json!("word ".repeat(170_000)));
    body["model"] = json!("claude-haiku-4-5");
    let error = check(&body, ApiVersion::V2026_10_21).unwrap_err();
    assert!(
        error.starts_with("400 prompt is too long: 2125") && error.ends_with(" tokens > 200000 maximum"),
        "{error}"
    );
}

#[test]
fn too_many_messages_are_refused() {
    let messages: Vec<Value> = (0..100_001)
        .map(|_| json!({ "role": "user", "content": "x" }))
        .collect();
    let error = check(&with("/messages", json!(messages)), ApiVersion::V2026_10_21).unwrap_err();
    assert!(error.starts_with("400 messages: at most 100000"), "{error}");
}

#[test]
fn a_beta_may_bring_fields() {
    let models = ModelEntry::catalogue();
    let body = with("/new_field", json!(1)).to_string();
    let terms = |has_beta| Terms {
        version: ApiVersion::V2026_10_21,
        has_beta,
        models: &models,
    };
    assert!(request(body.as_bytes(), terms(true)).is_ok());
    assert!(request(body.as_bytes(), terms(false)).is_err());
}

#[test]
fn counting_takes_a_request_without_its_limits() {
    let models = ModelEntry::catalogue();
    let terms = Terms {
        version: ApiVersion::V2026_10_21,
        has_beta: false,
        models: &models,
    };
    let body = with("/max_tokens", json!(null)).to_string();
    assert!(count_tokens(body.as_bytes(), terms).unwrap() > 20);
    let error = count_tokens(good().to_string().as_bytes(), terms).unwrap_err();
    assert_eq!(error.message, "max_tokens: Extra inputs are not permitted");
}
