use std::fs;

use serde_json::json;

use crate::tools::ToolLimits;
use crate::tools::testing::Bench;

#[tokio::test]
async fn lines_come_numbered() {
    let bench = Bench::new();
    bench.file("a.txt", "one\ntwo\n\nlast");
    let text = Bench::works(bench.call("read_file", json!({"path": "a.txt"})).await);
    assert_eq!(text, "1\tone\n2\ttwo\n3\t\n4\tlast\n");
}

#[tokio::test]
async fn a_part_says_how_to_read_on() {
    let bench = Bench::new();
    bench.file(
        "a.txt",
        (1..=10).map(|n| format!("line {n}\n")).collect::<String>(),
    );
    let cases = [
        (
            json!({"path": "a.txt", "limit": 2}),
            "1\tline 1\n2\tline 2\n[lines 1 to 2 of a file of 71 bytes; read on with offset=3]",
        ),
        (
            json!({"path": "a.txt", "offset": 4, "limit": "1"}),
            "4\tline 4\n[lines 4 to 4 of a file of 71 bytes; read on with offset=5]",
        ),
        (
            json!({"path": "a.txt", "offset": 10, "limit": 1}),
            "10\tline 10\n[lines 10 to 10, the last]",
        ),
        (
            json!({"path": "a.txt", "offset": 10, "limit": null}),
            "10\tline 10\n[lines 10 to 10, the last]",
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(Bench::works(bench.call("read_file", input).await), expected);
    }
    let error = Bench::fails(
        bench
            .call("read_file", json!({"path": "a.txt", "offset": 11}))
            .await,
    );
    assert_eq!(error, "a.txt has only 10 lines; offset 11 is beyond its end");
    let error = Bench::fails(
        bench
            .call("read_file", json!({"path": "a.txt", "offset": 0}))
            .await,
    );
    assert!(error.contains("counts lines from 1"));
}

#[tokio::test]
async fn the_byte_limit_holds_and_reading_on_gets_everything() {
    let bench = Bench::with_limits(ToolLimits {
        max_file_read: 1000,
        ..ToolLimits::default()
    });
    let all: String = (1..=500).map(|n| format!("this is line {n}\n")).collect();
    bench.file("a.txt", &all);
    let mut offset = 1;
    let mut read = String::new();
    while offset <= 500 {
        let result = bench
            .call("read_file", json!({"path": "a.txt", "offset": offset}))
            .await;
        assert!(result.content.len() < 1200, "{}", result.content.len());
        assert_eq!(result.truncated, result.content.contains("read on with offset="));
        for line in result.content.lines().filter(|line| !line.starts_with('[')) {
            let (number, text) = line.split_once('\t').expect("a number");
            assert_eq!(number.parse(), Ok(offset));
            read.push_str(text);
            read.push('\n');
            offset += 1;
        }
    }
    assert_eq!(read, all);
}

#[tokio::test]
async fn a_five_gigabyte_file_is_read_only_as_far_as_shown() {
    let bench = Bench::new();
    // Text at the start, a hole behind: the size is real, the disk is not used.
    bench.file("big.txt", "line\n".repeat(100_000));
    fs::File::options()
        .write(true)
        .open(bench.path("big.txt"))
        .expect("a file")
        .set_len(5 << 30)
        .expect("a hole");
    let started = std::time::Instant::now();
    let result = bench
        .call("read_file", json!({"path": "big.txt", "limit": 3}))
        .await;
    assert!(result.truncated);
    assert_eq!(
        result.content,
        "1\tline\n2\tline\n3\tline\n[lines 1 to 3 of a file of 5.0 GiB; read on with offset=4]"
    );
    let error = Bench::fails(
        bench
            .call("read_file", json!({"path": "big.txt", "offset": 200_000}))
            .await,
    );
    assert!(
        error.contains("beyond the first 64.0 MiB") && error.contains("sed -n"),
        "{error}"
    );
    assert!(started.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn a_long_line_is_cut_with_a_note() {
    let bench = Bench::new();
    bench.file("min.js", format!("{}é\nnext\n", "x".repeat(1999)));
    let result = bench.call("read_file", json!({"path": "min.js"})).await;
    assert!(result.truncated);
    assert!(
        result
            .content
            .contains("xxx … [1 more bytes in this line]\n2\tnext\n"),
        "{}",
        result.content
    );
    assert!(result.content.ends_with("[1 long lines were cut at 2000 bytes]"));
}

#[tokio::test]
async fn what_is_no_plain_text_is_named_and_told() {
    let bench = Bench::new();
    bench
        .file("empty", "")
        .file("bin", b"\x7FELF\x02\x01\x01\x00\x00\x00")
        .file("folder/x", "");
    bench.file("latin1.c", b"/* Gr\xF6sse */ int main(void) { return 0; }\n");
    bench.file("dos.txt", "\u{FEFF}one\r\ntwo\r\n");
    let read = async |path: &str| bench.call("read_file", json!({"path": path})).await;
    assert_eq!(Bench::works(read("empty").await), "empty is empty (0 bytes).");
    let error = Bench::fails(read("bin").await);
    assert!(
        error.contains("not text but an ELF program or library, 10 bytes"),
        "{error}"
    );
    let latin = Bench::works(read("latin1.c").await);
    assert!(
        latin.starts_with("1\t/* Gr\u{FFFD}sse */") && latin.contains("not valid UTF-8"),
        "{latin}"
    );
    let dos = Bench::works(read("dos.txt").await);
    assert_eq!(
        dos,
        "1\tone\n2\ttwo\n[lines end with CRLF, which edit_file keeps]"
    );
    assert!(Bench::fails(read("folder").await).contains("use list_directory"));
    assert!(Bench::fails(read("gone.rs").await).contains("gone.rs does not exist"));
    assert!(Bench::fails(read("../../etc/passwd").await).contains("only files below the workspace"));
}
