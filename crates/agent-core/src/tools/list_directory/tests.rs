use std::os::unix::fs::symlink;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::tools::testing::Bench;
use crate::tools::{ToolContext, ToolLimits};

#[tokio::test]
async fn a_folder_is_listed_sorted_with_kinds_sizes_and_link_targets() {
    let bench = Bench::new();
    bench.file("b.txt", "12345").file("a/x", "").file(".hidden", "");
    symlink("b.txt", bench.path("link")).expect("a link");
    let text = Bench::works(bench.call("list_directory", json!({})).await);
    assert_eq!(text, ".hidden  0 bytes\na/\nb.txt  5 bytes\nlink -> b.txt\n");
    std::fs::create_dir(bench.path("empty")).expect("a folder");
    assert_eq!(
        Bench::works(bench.call("list_directory", json!({"path": "empty"})).await),
        "empty is an empty folder."
    );
    assert!(
        Bench::fails(bench.call("list_directory", json!({"path": "b.txt"})).await).contains("not a folder")
    );
    assert!(
        Bench::fails(bench.call("list_directory", json!({"path": "no"})).await).contains("does not exist")
    );
}

#[tokio::test]
async fn a_large_folder_is_shown_in_part() {
    let bench = Bench::with_limits(ToolLimits {
        max_matches: 3,
        ..ToolLimits::default()
    });
    for at in 0..10 {
        bench.file(&format!("f{at}"), "");
    }
    let result = bench.call("list_directory", json!({})).await;
    assert!(result.truncated);
    assert!(result.content.starts_with("f0  0 bytes\nf1"));
    assert!(
        result
            .content
            .ends_with("[7 more entries; use glob with a narrower pattern]")
    );
}

#[tokio::test]
async fn few_entries_with_long_names_are_bounded_too() {
    let bench = Bench::with_limits(ToolLimits {
        max_output: 4000,
        ..ToolLimits::default()
    });
    for at in 0..20 {
        symlink("x".repeat(1000), bench.path(&format!("link{at}"))).expect("a link");
        bench.file(&format!("{at}{}", "y".repeat(240)), "");
    }
    let result = bench.call("list_directory", json!({})).await;
    assert!(
        result.truncated && result.content.len() < 4200,
        "{}",
        result.content.len()
    );
    let result = bench.call("glob", json!({"pattern": "*"})).await;
    assert!(
        result.truncated && result.content.len() < 4200,
        "{}",
        result.content.len()
    );
    assert!(
        result.content.contains("only the first 16 are shown"),
        "{}",
        result.content
    );
}

#[tokio::test]
async fn denied_paths_are_not_shown() {
    let bench = Bench::new();
    bench.file("open", "").file("secret", "");
    let context = ToolContext::new(CancellationToken::new())
        .with_path_filter(Arc::new(|path| path != std::path::Path::new("secret")));
    let text = Bench::works(bench.call_with("list_directory", json!({}), context).await);
    assert_eq!(text, "open  0 bytes\n");
}
