use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::tools::testing::{Bench, content};

#[tokio::test]
async fn a_file_is_made_with_its_folders_and_replaced() {
    let bench = Bench::new();
    let text = Bench::works(
        bench
            .call("write_file", json!({"path": "a/b.txt", "content": "one\ntwo\n"}))
            .await,
    );
    assert_eq!(text, "a/b.txt was made: 2 lines, 8 bytes.");
    assert_eq!(bench.content("a/b.txt"), b"one\ntwo\n");
    let text = Bench::works(
        bench
            .call("write_file", json!({"path": "a/b.txt", "content": ""}))
            .await,
    );
    assert_eq!(text, "a/b.txt was replaced: 0 lines, 0 bytes.");
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_read_is_not_replaced() {
    let bench = Bench::new();
    bench.file("a.txt", "old");
    bench.call("read_file", json!({"path": "a.txt"})).await;
    bench.file("a.txt", "somebody else's");
    let input = json!({"path": "a.txt", "content": "mine"});
    let error = Bench::fails(bench.call("write_file", input.clone()).await);
    assert!(
        error.contains("changed on disk since it was last read") && error.contains("read_file"),
        "{error}"
    );
    assert_eq!(bench.content("a.txt"), b"somebody else's");
    bench.call("read_file", json!({"path": "a.txt"})).await;
    Bench::works(bench.call("write_file", input.clone()).await);
    Bench::works(bench.call("write_file", input).await);
}

#[tokio::test]
async fn what_stands_for_a_secret_never_takes_its_place() {
    let bench = Bench::new();
    let secret = "key = \"sk-ant-api03-0123456789abcdef\"\nport = 1\n";
    bench.file("hidden.toml", secret).file("plain.rs", "fn a() {}\n");
    let write = |path: &str, content: &str| json!({"path": path, "content": content});
    let copied = "key = \"[redacted]\"\nport = 2\n";
    let edit = |new: &str| json!({"path": "hidden.toml", "old_string": "port = 1", "new_string": new});
    for (tool, input) in [
        ("write_file", write("hidden.toml", copied)),
        ("edit_file", edit("port = 2\nold = \"[redacted]\"")),
    ] {
        let error = Bench::fails(bench.call(tool, input).await);
        assert!(
            error.contains("holds secrets") && error.contains("edit_file"),
            "{error}"
        );
        assert_eq!(bench.content("hidden.toml"), secret.as_bytes());
    }
    // The word itself is no secret.
    Bench::works(
        bench
            .call("write_file", write("plain.rs", "let a = \"[redacted]\";\n"))
            .await,
    );
    Bench::works(
        bench
            .call("write_file", write("plain.rs", "let b = \"[redacted]\";\n"))
            .await,
    );
    Bench::works(bench.call("edit_file", edit("port = 2")).await);
    Bench::works(bench.call("write_file", write("hidden.toml", "port = 3\n")).await);
}

#[test]
fn the_person_asked_sees_a_diff_against_the_file_as_it_is() {
    let bench = Bench::new();
    let call = bench
        .prepare("write_file", json!({"path": "a.txt", "content": "one\nTWO\n"}))
        .expect("fits");
    assert_eq!(call.summary(), "write a.txt (8 bytes)");
    assert!(
        call.detail()
            .expect("a diff")
            .starts_with("--- /dev/null\n+++ b/a.txt\n")
    );
    bench.file("a.txt", "one\ntwo\n");
    let diff = call.detail().expect("a diff");
    assert!(diff.contains("-two\n+TWO\n"), "{diff}");
}

#[tokio::test]
async fn what_can_not_be_written_is_refused_early() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("canary"), "canary").expect("a file");
    bench.file("folder/x", "");
    symlink(outside.path().join("canary"), bench.path("link")).expect("a link");
    let cases = [
        (json!({"path": "folder", "content": ""}), "folder is a folder"),
        (
            json!({"path": "link", "content": "x"}),
            "leads out of the workspace",
        ),
        (json!({"path": "../x", "content": "x"}), "climbs out"),
        (
            json!({"path": "x", "content": "y".repeat(11 << 20)}),
            "more than the 10.0 MiB",
        ),
        (json!({"path": "x"}), "missing field `content`"),
    ];
    for (input, part) in cases {
        let error = bench.prepare("write_file", input).err().expect("refused").message;
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(content(&outside.path().join("canary")), b"canary");
}
