use serde_json::{Value, json};

use crate::tools::testing::Bench;

fn edit(path: &str, old: &str, new: &str) -> Value {
    json!({"path": path, "old_string": old, "new_string": new})
}

#[tokio::test]
async fn a_piece_is_replaced_and_the_place_is_told() {
    let bench = Bench::new();
    bench.file("a.rs", "fn a() {}\nfn b() {}\nfn c() {}\n");
    let text = Bench::works(bench.call("edit_file", edit("a.rs", "fn b()", "fn bee()")).await);
    assert_eq!(text, "a.rs was changed at line 2.");
    assert_eq!(bench.content("a.rs"), b"fn a() {}\nfn bee() {}\nfn c() {}\n");
    let mut all = edit("a.rs", "fn ", "pub fn ");
    all["replace_all"] = json!("true");
    let text = Bench::works(bench.call("edit_file", all).await);
    assert_eq!(text, "a.rs was changed in 3 places, the first at line 1.");
}

#[tokio::test]
async fn line_ends_and_the_byte_order_mark_stay() {
    let bench = Bench::new();
    bench.file("dos.txt", "\u{FEFF}one\r\ntwo\r\nthree");
    Bench::works(bench.call("edit_file", edit("dos.txt", "one\ntwo", "1\n2")).await);
    assert_eq!(bench.content("dos.txt"), "\u{FEFF}1\r\n2\r\nthree".as_bytes());
}

#[tokio::test]
async fn an_edit_that_does_not_fit_changes_nothing_and_says_why() {
    let bench = Bench::new();
    let content = "let x = 1;\nlet y = 1;\n";
    bench
        .file("a.rs", content)
        .file("bin", b"\x00\x01")
        .file("folder/x", "");
    let cases = [
        (
            edit("a.rs", "= 1", "= 2"),
            "a.rs: old_string occurs 2 times (at lines 1, 2)",
        ),
        (edit("a.rs", "let x = 2;", ""), "Line 1 is \"let x = 1;\""),
        (edit("a.rs", "", "x"), "old_string is empty"),
        (edit("a.rs", "x", "x"), "the same"),
        (edit("b.rs", "x", "y"), "b.rs does not exist"),
        (edit("bin", "x", "y"), "not text"),
        (edit("folder", "x", "y"), "is a folder"),
        (json!({"path": "a.rs", "old": "x"}), "unknown field `old`"),
    ];
    for (input, part) in cases {
        let error = Bench::fails(bench.call("edit_file", input).await);
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(bench.content("a.rs"), content.as_bytes());
}

#[tokio::test]
async fn a_file_too_large_to_edit_is_refused_without_reading_it_all() {
    let bench = Bench::new();
    bench.file("big", "x");
    let file = std::fs::File::options()
        .write(true)
        .open(bench.path("big"))
        .expect("a file");
    file.set_len(5 << 30).expect("a hole");
    let error = Bench::fails(bench.call("edit_file", edit("big", "x", "y")).await);
    assert!(error.contains("5.0 GiB, more than the 10.0 MiB"), "{error}");
}

#[tokio::test]
async fn edits_of_one_turn_follow_each_other_but_not_somebody_else() {
    let bench = Bench::new();
    bench.file("a.txt", "one two\n");
    bench.call("read_file", json!({"path": "a.txt"})).await;
    // Both are prepared before either runs, as in one answer of the model.
    let first = bench
        .prepare("edit_file", edit("a.txt", "one", "1"))
        .expect("fits");
    let second = bench
        .prepare("edit_file", edit("a.txt", "two", "2"))
        .expect("fits");
    let context = || crate::tools::ToolContext::new(tokio_util::sync::CancellationToken::new());
    Bench::works(first.run(context()).await);
    Bench::works(second.run(context()).await);
    assert_eq!(bench.content("a.txt"), b"1 2\n");
    bench.file("a.txt", "1 2 3\n");
    let error = Bench::fails(bench.call("edit_file", edit("a.txt", "1", "one")).await);
    assert!(error.contains("changed on disk"), "{error}");
}

#[test]
fn the_person_asked_sees_what_will_change_or_why_it_will_fail() {
    let bench = Bench::new();
    bench.file("a.txt", "one\ntwo\n");
    let detail = |input| {
        bench
            .prepare("edit_file", input)
            .expect("fits")
            .detail()
            .expect("a detail")
    };
    assert!(detail(edit("a.txt", "two", "2")).contains("@@ -1,2 +1,2 @@\n one\n-two\n+2\n"));
    assert!(detail(edit("a.txt", "three", "3")).starts_with("This edit will fail: a.txt: old_string"));
}
