//! What needs more than one task or more than a task: follow-ups, plans, forced tools.

use super::tasks::sample;
use super::*;

#[test]
fn a_conversation_goes_on() {
    let mut folder = sample();
    let mut messages = Vec::new();
    let mut ask = |task: &str| work(&mut messages, task, &mut folder, ALL, &json!({}));
    ask("change 'Helo' to 'Hello' in hello.py");
    let (calls, said) = ask("now change it back");
    assert_eq!(
        calls,
        [
            "read_file hello.py",
            "edit_file hello.py Hello Helo",
            "read_file hello.py"
        ]
    );
    assert!(said.contains("print('Helo')"), "{said}");
    let (calls, said) = ask("what did you do?");
    assert!(
        calls.is_empty() && said.contains("6 calls") && said.contains("`edit_file`"),
        "{said}"
    );
    let (calls, _) = ask("read notes.txt");
    assert_eq!(calls, ["read_file notes.txt"]);
}

#[test]
fn the_plan_follows_the_work() {
    let mut messages = Vec::new();
    let task = "look around, then change 'Helo' to 'Hello' in hello.py, then run `sh test.sh`";
    work(&mut messages, task, &mut sample(), ALL, &json!({}));
    let plans: Vec<String> = messages
        .iter()
        .filter_map(|message| message["content"].as_array())
        .flatten()
        .filter(|block| block["name"] == "update_plan")
        .map(|block| {
            let items = block["input"]["items"].as_array().unwrap();
            items
                .iter()
                .map(|item| &item["status"].as_str().unwrap()[..1])
                .collect()
        })
        .collect();
    assert_eq!(plans, ["ipp", "cip", "cci", "ccc"]);
}

#[test]
fn what_the_user_adds_on_the_way_is_done_too() {
    let mut messages = vec![json!({ "role": "user", "content": "read notes.txt" })];
    let first = answer(&messages, ALL, &json!({}));
    let Some(Block::ToolUse { id, name, input }) = first.last() else {
        panic!("{first:?}")
    };
    let input: Value = serde_json::from_str(input).unwrap();
    messages.push(json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": id, "name": name, "input": input }] }));
    messages.push(json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": id, "content": "1\tone" },
        { "type": "text", "text": "also find every TODO" },
    ] }));
    let next = answer(&messages, ALL, &json!({}));
    assert!(
        matches!(next.last(), Some(Block::ToolUse { name, .. }) if name == "grep"),
        "{next:?}"
    );
}

#[test]
fn a_forced_tool_is_called_and_a_format_is_kept() {
    let messages = [json!({ "role": "user", "content": "hello" })];
    let forced = answer(
        &messages,
        &["read_file"],
        &json!({ "tool_choice": { "type": "tool", "name": "read_file" } }),
    );
    assert!(
        matches!(forced.last(), Some(Block::ToolUse { name, .. }) if name == "read_file"),
        "{forced:?}"
    );
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    let formatted = answer(
        &messages,
        &[],
        &json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } }),
    );
    assert_eq!(formatted, [Block::Text("{\"n\":0}".into())]);
}

#[test]
fn a_conversation_that_makes_no_sense_ends() {
    let mut messages = vec![json!({ "role": "user", "content": "read notes.txt" })];
    for round in 0..=MAX_ROUNDS {
        messages.push(json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": format!("t{round}"), "name": "other", "input": {} }] }));
        messages.push(json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": format!("t{round}") }] }));
    }
    let last = answer(&messages, ALL, &json!({}));
    assert!(
        matches!(&last[..], [Block::Text(text)] if text.contains("not reached")),
        "{last:?}"
    );
}
