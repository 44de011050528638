use std::io::{self, Write};

use agent_claude::messages::Role;
use serde_json::{Value, json};

use super::support::{TempStore, assistant, make, message, paid, user};

#[tokio::test]
async fn json_holds_everything_and_the_exact_bytes() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "a \"title\"").await;
    let odd = r#"[ {"type":"text","text":"\u00e9"} ]"#;
    store
        .append(
            &id,
            vec![user("q"), paid("a", 3, 4, Some(0.1)), message(Role::User, odd)],
        )
        .await
        .expect("stored");
    store.compact(&id, 1, assistant("first")).await.expect("compacts");
    store
        .compact(&id, 2, assistant("second"))
        .await
        .expect("compacts");
    let text = String::from_utf8(store.export_json(&id, Vec::new()).await.expect("exports")).expect("text");
    assert!(text.contains(odd), "{text}");
    let value: Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!(value["session"]["title"], "a \"title\"");
    assert_eq!(value["session"]["cost"]["usd"], 0.1);
    assert_eq!(value["compactions"][1]["upto_seq"], 2);
    let usage = &value["messages"][1]["usage"];
    assert_eq!(
        (&usage["output_tokens"], &usage["cost_usd"]),
        (&json!(4), &json!(0.1))
    );
    assert_eq!(value["messages"][0].get("usage"), None);
    let seqs: Vec<&Value> = value["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| &m["seq"])
        .collect();
    assert_eq!(seqs, [1, 2, 3]);

    let empty = make(&store, "").await;
    let text = store.export_json(&empty, Vec::new()).await.expect("exports");
    let value: Value = serde_json::from_slice(&text).expect("one JSON document");
    assert_eq!(value["messages"], json!([]));
}

#[tokio::test]
async fn a_session_longer_than_a_page_is_exported_whole() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "long").await;
    let large = "x".repeat(1 << 20);
    for _ in 0..5 {
        store
            .append(&id, vec![user(&large), user("small")])
            .await
            .expect("stored");
    }
    let text = store.export_json(&id, Vec::new()).await.expect("exports");
    let value: Value = serde_json::from_slice(&text).expect("one JSON document");
    assert_eq!(value["messages"].as_array().expect("a list").len(), 10);
    assert_eq!(value["messages"][9]["seq"], 10);
}

#[tokio::test]
async fn markdown_is_for_reading() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "Fix\nthe build").await;
    let call = json!([
        {"type": "thinking", "thinking": "secret thought", "signature": "s"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "cargo test"}},
    ]);
    let result = json!([{"type": "tool_result", "tool_use_id": "t1", "content": "```\nfailed\n```", "is_error": true}]);
    let picture = json!([{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]);
    let new = vec![
        user("Please fix it"),
        message(Role::Assistant, &call.to_string()),
        message(Role::User, &result.to_string()),
        message(Role::User, &picture.to_string()),
    ];
    store.append(&id, new).await.expect("stored");
    let text =
        String::from_utf8(store.export_markdown(&id, Vec::new()).await.expect("exports")).expect("text");
    let body = text.split_once("\n## ").expect("a first message").1;
    let expected = "User

Please fix it

## Assistant

Let me look.

<details><summary>bash</summary>

```json
{
  \"command\": \"cargo test\"
}
```

</details>

## Tools

<details><summary>result: error</summary>

````text
```
failed
```
````

</details>

## User

*(image, not shown)*
";
    assert_eq!(body, expected);
    assert!(text.starts_with("# Fix the build\n"), "{text}");
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_export() {
    let temp = TempStore::new();
    let store = temp.open();
    let id = make(&store, "t").await;
    let error = store
        .export_json(&id, Broken)
        .await
        .map(|_| ())
        .expect_err("broken");
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.expect("an I/O error").kind(), io::ErrorKind::BrokenPipe);
}
