//! Bodies of any shape: an answer in the 400s, never a panic.

use proptest::prelude::*;

use super::*;

/// JSON of any shape, with the API's own keys in it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(vec![
            "user",
            "assistant",
            "system",
            "text",
            "tool_use",
            "tool_result",
            "thinking",
            "t1",
            "",
            "claude-opus-5-5",
            "ephemeral",
            "object",
            "é"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec(
                (
                    proptest::sample::select(vec![
                        "role",
                        "content",
                        "type",
                        "text",
                        "id",
                        "name",
                        "input",
                        "tool_use_id",
                        "source",
                        "cache_control",
                        "signature",
                        "thinking",
                        "input_schema",
                        "budget_tokens"
                    ]),
                    inner
                ),
                0..6
            )
            .prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn hostile_bodies_are_answered(field in proptest::sample::select(vec!["messages", "tools", "system", "thinking", "tool_choice",
        "max_tokens", "metadata", "output_config", "stop_sequences", "cache_control"]), value in any_json()) {
        let mut body = good();
        body[field] = value;
        for version in [ApiVersion::V2023_06_01, ApiVersion::V2026_10_21] {
            if let Err(error) = check(&body, version) {
                prop_assert!(error.starts_with('4'), "{error}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_request_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let models = ModelEntry::catalogue();
        let terms = Terms { version: ApiVersion::V2026_10_21, has_beta: true, models: &models };
        prop_assert!(request(&bytes, terms).is_err());
        prop_assert!(count_tokens(&bytes, terms).is_err());
    }
}
