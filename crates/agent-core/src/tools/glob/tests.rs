use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::tools::testing::Bench;
use crate::tools::{ToolContext, ToolLimits};

fn tree() -> Bench {
    let bench = Bench::new();
    for name in [
        "a.rs",
        "src/b.rs",
        "src/deep/c.rs",
        "src/deep/d.txt",
        ".hidden/e.rs",
        ".git/f.rs",
        "target/g.rs",
        "src/deep/keep.log",
        "src/h.log",
    ] {
        bench.file(name, "");
    }
    bench
        .file(".gitignore", "target/\n*.log\n")
        .file("src/deep/.gitignore", "!keep.log\n");
    bench
}

#[tokio::test]
async fn patterns_find_files_sorted_without_hidden_and_ignored_ones() {
    let bench = tree();
    let cases = [
        (json!({"pattern": "*.rs"}), "a.rs\nsrc/b.rs\nsrc/deep/c.rs"),
        (json!({"pattern": "**/*.rs"}), "a.rs\nsrc/b.rs\nsrc/deep/c.rs"),
        (json!({"pattern": "./src/*.rs"}), "src/b.rs"),
        (
            json!({"pattern": "src/**"}),
            "src/b.rs\nsrc/deep/c.rs\nsrc/deep/d.txt\nsrc/deep/keep.log",
        ),
        (
            json!({"pattern": "*.{txt,log}"}),
            "src/deep/d.txt\nsrc/deep/keep.log",
        ),
        (
            json!({"pattern": "deep/*", "path": "src"}),
            "src/deep/c.rs\nsrc/deep/d.txt\nsrc/deep/keep.log",
        ),
        (json!({"pattern": "*.log", "path": "src"}), "src/deep/keep.log"),
        (json!({"pattern": "*.rs", "path": "target"}), "target/g.rs"),
        (json!({"pattern": ".hidden/*"}), ".hidden/e.rs"),
        (
            json!({"pattern": "*.rs", "include_ignored": true}),
            ".hidden/e.rs\na.rs\nsrc/b.rs\nsrc/deep/c.rs\ntarget/g.rs",
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(
            Bench::works(bench.call("glob", input.clone()).await),
            expected,
            "{input}"
        );
    }
    let none = Bench::works(bench.call("glob", json!({"pattern": "*.py"})).await);
    assert!(none.starts_with("No file in . matches \"*.py\""), "{none}");
}

#[tokio::test]
async fn bad_patterns_and_folders_are_explained() {
    let bench = tree();
    let cases = [
        (json!({"pattern": "[a"}), "is no valid pattern"),
        (json!({"pattern": ""}), "is empty"),
        (json!({"pattern": "/etc/*"}), "give the folder as path"),
        (json!({"pattern": "../*"}), "give the folder as path"),
        (
            json!({"pattern": "*", "path": "a.rs"}),
            "a.rs is a file, not a folder",
        ),
        (json!({"pattern": "*", "path": "no"}), "no does not exist"),
        (json!({"pattern": "*", "path": ".."}), "climbs out"),
    ];
    for (input, part) in cases {
        let error = Bench::fails(bench.call("glob", input).await);
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn more_than_the_limit_is_told() {
    let bench = Bench::with_limits(ToolLimits {
        max_matches: 2,
        ..ToolLimits::default()
    });
    bench.file("a", "").file("b", "").file("c", "");
    let result = bench.call("glob", json!({"pattern": "*"})).await;
    assert!(result.truncated);
    assert_eq!(
        result.content,
        "a\nb\n[only the first 2 are shown; use a narrower pattern or path]"
    );
}

#[tokio::test]
async fn links_are_named_but_never_walked_and_odd_names_are_shown() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("canary"), "").expect("a file");
    symlink(outside.path(), bench.path("way-out")).expect("a link");
    symlink(".", bench.path("loop")).expect("a link");
    std::fs::write(
        bench
            .path("x")
            .with_file_name(std::ffi::OsStr::from_bytes(b"odd\xFF")),
        "",
    )
    .expect("a file");
    let text = Bench::works(bench.call("glob", json!({"pattern": "**"})).await);
    assert_eq!(text, "loop\nodd\u{FFFD}\nway-out");
}

#[tokio::test]
async fn denied_paths_and_what_is_below_them_are_left_out() {
    let bench = tree();
    let context = ToolContext::new(CancellationToken::new())
        .with_path_filter(Arc::new(|path| path != std::path::Path::new("src/deep")));
    let text = Bench::works(bench.call_with("glob", json!({"pattern": "*.rs"}), context).await);
    assert_eq!(text, "a.rs\nsrc/b.rs");
}

#[tokio::test]
async fn a_cancelled_search_ends_and_says_so() {
    let bench = tree();
    let context = ToolContext::new(CancellationToken::new());
    context.cancel.cancel();
    let error = Bench::fails(bench.call_with("glob", json!({"pattern": "*"}), context).await);
    assert!(error.contains("cancelled"));
}

#[test]
fn a_pattern_that_costs_too_much_is_refused() {
    let bench = Bench::new();
    let nested = |depth: usize| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
    for pattern in ["?".repeat(300_000), "{a,b}".repeat(50_000), nested(20_000)] {
        for (tool, input) in [
            ("glob", json!({"pattern": pattern})),
            ("grep", json!({"pattern": "x", "glob": pattern})),
        ] {
            let error = bench.prepare(tool, input).err().expect("too long").message;
            assert!(error.contains("more than 1000; use a shorter"), "{error}");
        }
    }
    // What is short enough is compiled or refused, whatever it is.
    let error = bench.prepare("glob", json!({"pattern": nested(499)})).err();
    assert!(error.expect("too deep").message.contains("is too complicated"));
    for pattern in ["?".repeat(1000), "{a,b}".repeat(200), "[!a]".repeat(250)] {
        assert!(bench.prepare("glob", json!({"pattern": pattern})).is_ok());
    }
}

#[tokio::test]
async fn a_hostile_ignore_file_does_no_harm() {
    let bench = Bench::new();
    let nested = format!("{}a{}\n", "{".repeat(100_000), "}".repeat(100_000));
    bench
        .file(".gitignore", nested + "*.log\n")
        .file("a.txt", "")
        .file("a.log", "");
    let text = Bench::works(bench.call("glob", json!({"pattern": "*"})).await);
    assert_eq!(text, "a.txt");
}
