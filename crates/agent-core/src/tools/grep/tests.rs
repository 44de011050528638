use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::tools::testing::Bench;
use crate::tools::{ToolContext, ToolLimits};

fn tree() -> Bench {
    let bench = Bench::new();
    bench.file("a.rs", "fn one() {}\nfn two() {}\n// end\n");
    bench.file("src/b.rs", "use a;\r\nFN shout() {}\r\n");
    bench.file("src/c.txt", "fn in text\n");
    bench
        .file(".hidden", "fn hidden\n")
        .file(".git/config", "fn git\n")
        .file("ignored.rs", "fn ignored\n");
    bench
        .file(".gitignore", "ignored.rs\n")
        .file("bin", b"\x00\x01fn binary\n");
    bench
}

#[tokio::test]
async fn matching_lines_come_with_path_and_number() {
    let bench = tree();
    let cases = [
        (
            json!({"pattern": r"fn \w+"}),
            "a.rs:1:fn one() {}\na.rs:2:fn two() {}\nsrc/c.txt:1:fn in text",
        ),
        (
            json!({"pattern": r"fn \w+\(", "ignore_case": true, "path": "src"}),
            "src/b.rs:2:FN shout() {}",
        ),
        (
            json!({"pattern": "fn", "glob": "*.txt"}),
            "src/c.txt:1:fn in text",
        ),
        (
            json!({"pattern": "fn", "path": "a.rs", "glob": null}),
            "a.rs:1:fn one() {}\na.rs:2:fn two() {}",
        ),
        (
            json!({"pattern": "two", "context_lines": "1"}),
            "a.rs-1-fn one() {}\na.rs:2:fn two() {}\na.rs-3-// end",
        ),
        (
            json!({"pattern": "fn", "glob": "*en", "include_ignored": true}),
            ".hidden:1:fn hidden",
        ),
        (
            json!({"pattern": "fn ignored", "include_ignored": true}),
            "ignored.rs:1:fn ignored",
        ),
        (
            json!({"pattern": "end$|use", "context_lines": 0}),
            "a.rs:3:// end",
        ),
    ];
    for (input, expected) in cases {
        let text = Bench::works(bench.call("grep", input.clone()).await);
        assert!(
            text == expected || text.starts_with(&format!("{expected}\nsrc/b.rs:1:use a;")),
            "{input}: {text}"
        );
    }
}

#[tokio::test]
async fn nothing_found_says_what_was_searched() {
    let bench = tree();
    let text = Bench::works(bench.call("grep", json!({"pattern": "nowhere"})).await);
    assert!(
        text.starts_with("No line matches (4 files searched). Hidden, ignored and binary"),
        "{text}"
    );
    let text = Bench::works(
        bench
            .call("grep", json!({"pattern": "nowhere", "path": "bin"}))
            .await,
    );
    assert!(text.contains("It is a binary file."), "{text}");
    let git = Bench::works(
        bench
            .call("grep", json!({"pattern": "fn git", "include_ignored": true}))
            .await,
    );
    assert!(git.starts_with("No line matches"), "{git}");
}

#[tokio::test]
async fn bad_input_is_explained() {
    let bench = tree();
    let cases = [
        (json!({"pattern": "fn("}), "pattern \"fn(\" can't be used: "),
        (json!({"pattern": r"(?=x)"}), "look-around"),
        (json!({"pattern": r"a\nb"}), "several lines"),
        (json!({"pattern": "x{1000}{1000}"}), "can't be used"),
        (
            json!({"pattern": "fn", "glob": "{a"}),
            "glob \"{a\" is no valid pattern",
        ),
        (json!({"pattern": "fn", "path": "no"}), "no does not exist"),
        (json!({"pattern": "fn", "path": "/etc"}), "outside the workspace"),
        (json!({"pattern": "fn", "regex": true}), "unknown field `regex`"),
    ];
    for (input, part) in cases {
        let error = Bench::fails(bench.call("grep", input).await);
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn results_are_bounded_in_number_length_and_bytes() {
    let bench = Bench::with_limits(ToolLimits {
        max_output: 2000,
        max_matches: 10,
        ..ToolLimits::default()
    });
    bench
        .file("many", "match\n".repeat(100))
        .file("long", format!("{}match\n", "é".repeat(4000)));
    let result = bench
        .call(
            "grep",
            json!({"pattern": "match", "path": "many", "max_results": 1000}),
        )
        .await;
    assert!(result.truncated);
    assert_eq!(result.content.matches("many:").count(), 10);
    assert!(
        result
            .content
            .ends_with("[stopped after 10 matches in 1 files; use a narrower pattern, path or glob]")
    );
    let result = bench
        .call("grep", json!({"pattern": "match", "path": "long"}))
        .await;
    assert!(
        result.content.ends_with("é … [7505 more bytes]"),
        "{}",
        result.content
    );
    bench.file("wide", format!("{}match\n", "x".repeat(400)).repeat(9));
    let result = bench
        .call("grep", json!({"pattern": "match", "path": "wide"}))
        .await;
    assert!(result.truncated && result.content.len() < 2200);
    let one = bench
        .call(
            "grep",
            json!({"pattern": "match", "path": "many", "max_results": 1}),
        )
        .await;
    assert!(
        one.content.starts_with("many:1:match\n[stopped after 1 matches"),
        "{}",
        one.content
    );
}

#[tokio::test]
async fn links_are_not_followed_and_denied_files_not_searched() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("canary"), "canary").expect("a file");
    symlink(outside.path().join("canary"), bench.path("file-link")).expect("a link");
    symlink(outside.path(), bench.path("folder-link")).expect("a link");
    bench.file("denied", "canary").file("open", "canary");
    let context = ToolContext::new(CancellationToken::new())
        .with_path_filter(Arc::new(|path| path != std::path::Path::new("denied")));
    let text = Bench::works(
        bench
            .call_with("grep", json!({"pattern": "canary"}), context)
            .await,
    );
    assert_eq!(text, "open:1:canary");
}

#[tokio::test]
async fn a_cancel_ends_the_search_of_one_huge_file() {
    let bench = Bench::new();
    bench.file("huge", "line\n".repeat(20_000_000));
    let context = ToolContext::new(CancellationToken::new());
    let cancel = context.cancel.clone();
    let call = bench.call_with("grep", json!({"pattern": "(a|l)+.*[0-9]$"}), context);
    let started = Instant::now();
    let (result, ()) = tokio::join!(call, async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        cancel.cancel();
    });
    assert!(Bench::fails(result).contains("cancelled"));
    assert!(started.elapsed() < Duration::from_secs(2));
}
