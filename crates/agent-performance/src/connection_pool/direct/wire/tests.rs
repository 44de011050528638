use proptest::prelude::*;

use super::super::wire;
use super::Asked;

/// The same as what the fuzz target runs.
#[path = "../../../../fuzz/fuzz_targets/body.rs"]
mod body;

use body::{End, check, read};

fn whole(sent: &str) -> body::Outcome {
    check(&[3, 1, 7], sent.as_bytes());
    read(Asked::Body, [sent.as_bytes()])
}

/// What an answer gives: its body when it ends in order, and whether another may follow.
fn answer(lines: &str, rest: &str) -> (Option<String>, bool) {
    let outcome = whole(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}"));
    let complete = outcome.head.is_some() && outcome.end == End::Complete;
    (
        complete.then(|| String::from_utf8(outcome.body).unwrap()),
        outcome.reusable,
    )
}

#[test]
fn bodies_end_where_the_head_says() {
    let chunked = "transfer-encoding: chunked\r\n";
    for (lines, rest, reusable) in [
        ("content-length: 2\r\n", "ok", true),
        ("content-length: 2, 2\r\nContent-Length: 2\r\n", "ok", true),
        ("content-length: 02\r\n", "ok", true),
        ("content-length: 2\r\n", "okHTTP", false),
        ("content-length: 2\r\nconnection: x, Close\r\n", "ok", false),
        (chunked, "2\r\nok\r\n0\r\n\r\n", true),
        (chunked, "1\r\no\r\n1;a=b\r\nk\r\n000\r\n\r\n", true),
        (chunked, "2  \r\nok\r\n0\r\nx: y\r\nz: a\r\n\r\n", true),
        ("Transfer-Encoding:\tCHUNKED \r\n", "2\r\nok\r\n0\r\n\r\n", true),
        (chunked, "2\r\nok\r\n0\r\n\r\nH", false),
        ("", "ok", false),
        ("connection: keep-alive\r\n", "ok", false),
    ] {
        assert_eq!(
            answer(lines, rest),
            (Some("ok".to_owned()), reusable),
            "{lines}{rest}"
        );
    }
}

#[test]
fn bodies_that_do_not_end_are_told() {
    for (lines, rest) in [
        ("content-length: 3\r\n", "ok"),
        ("transfer-encoding: chunked\r\n", "2\r\nok\r\n"),
        ("transfer-encoding: chunked\r\n", "2\r\nok\r\n0\r\n"),
    ] {
        let outcome = whole(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}"));
        assert_eq!(
            (outcome.end, outcome.reusable),
            (End::Closed, false),
            "{lines}{rest}"
        );
        assert_eq!(outcome.body, b"ok");
    }
}

/// Shapes that two readers could measure differently.
#[test]
fn smuggling_shapes_of_answers_are_refused() {
    for lines in [
        "content-length: 2\r\ntransfer-encoding: chunked\r\n",
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: +2\r\n",
        "content-length: 2 2\r\n",
        "content-length: -0\r\n",
        "content-length: 0x2\r\n",
        "content-length:\r\n",
        "content-length: 2,\r\n",
        "content-length: 18446744073709551616\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: identity\r\n",
        "content-length : 2\r\n",
        "x: y\r\n z\r\n",
        " x: y\r\n",
        "x: a\rb\r\n",
        "x: a\0b\r\n",
        "x\r\n",
    ] {
        assert_eq!(answer(lines, "ok"), (None, false), "{lines:?}");
    }
    for sent in [
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ] {
        let outcome = whole(sent);
        assert_eq!((outcome.head, outcome.reusable), (None, false), "{sent:?}");
    }
}

#[test]
fn chunks_that_are_wrong_are_refused_and_what_came_before_is_kept() {
    for chunk in [
        "\r\n",
        "x\r\n",
        "+1\r\n",
        " 1\r\n",
        "0x1\r\n",
        "1\n",
        "1;a\n",
        "1\rx",
        "10000000000000000\r\n",
        "00000000000000001\r\n",
        "1\r\nabc",
        "1\r\na\n",
        "1\r\na\rx",
        "0\r\n\n",
        "0\r\nx: y\n",
        "0\r\n\rx",
    ] {
        let outcome = whole(&format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n{chunk}"
        ));
        assert_eq!(
            (outcome.end, outcome.reusable),
            (End::Malformed, false),
            "{chunk:?}"
        );
        assert!(outcome.body.starts_with(b"ok"), "{chunk:?}");
    }
    // As large as 64 bits can say.
    let outcome = whole("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nok");
    assert_eq!((outcome.end, &*outcome.body), (End::Closed, &b"ok"[..]));
}

#[test]
fn answers_without_a_body_have_none() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 0\r\n\r\n",
    ] {
        let outcome = whole(head);
        assert_eq!((outcome.end, outcome.reusable), (End::Complete, true), "{head}");
        assert!(!whole(&format!("{head}x")).reusable, "{head}");
    }
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
    let outcome = read(Asked::Head, [&head[..]]);
    assert_eq!((outcome.end, outcome.reusable), (End::Complete, true));
    assert_eq!(outcome.head.unwrap().1.len(), 1);
    assert!(!whole("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").reusable);
}

#[test]
fn interim_answers_are_passed_over() {
    let outcome = whole(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    assert_eq!((outcome.head.unwrap().0, outcome.reusable), (200, true));
    assert_eq!(outcome.body, b"ok");
}

#[test]
fn what_is_no_body_has_a_limit() {
    let limits = [
        (
            "HTTP/1.1 200 OK\r\nx: ",
            "y",
            "\r\ncontent-length: 0\r\n\r\n",
            64 << 10,
        ),
        (
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            (64 << 10) / 25,
        ),
        (
            "HTTP/1.1 200 OK\r\n",
            "a: b\r\n",
            "content-length: 0\r\n\r\n",
            128,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0;",
            "x",
            "\r\n\r\n",
            16 << 10,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            "x: y\r\n",
            "\r\n",
            (16 << 10) / 4,
        ),
    ];
    for (start, repeated, end, limit) in limits {
        let reusable = |times| {
            let sent = format!("{start}{}{end}", repeated.repeat(times));
            read(Asked::Body, [sent.as_bytes()]).reusable
        };
        assert!(reusable(limit - 60), "{start}{repeated}");
        assert!(!reusable(limit + 1), "{start}{repeated}");
    }
}

/// Mostly proper, so that what is behind the first mistake is reached.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.0 404\r\n",
        "HTTP/1.1 304 x\r\n",
        "content-length: 5\r\n",
        "content-length: 0\r\n",
        "transfer-encoding: chunked\r\n",
        "connection: close\r\n",
        "connection: keep-alive\r\n",
        "x: y\r\n",
        " folded\r\n",
        "\r\n",
        "\n",
        "5\r\nabcde\r\n",
        "A;x=y\r\n0123456789\r\n",
        "0\r\n\r\n",
        "0\r\nt: u\r\n\r\n",
        "abcde",
        "ffffffffffffffff\r\n",
        "fffffffffffffffff\r\n",
        ",",
        ":",
        ";",
        " ",
    ];
    prop_oneof![
        12 => prop::sample::select(known).prop_map(|known| known.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn sent() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(
        &[
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "",
        ][..],
    );
    (head, prop::collection::vec(fragment(), 0..12))
        .prop_map(|(head, fragments)| [head.as_bytes(), &fragments.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]
    #[test]
    fn however_an_answer_is_cut_the_same_comes_of_it(
        cuts in prop::collection::vec(any::<u8>(), 0..5),
        sent in sent(),
    ) {
        check(&cuts, &sent);
    }

    #[test]
    fn what_was_chunked_comes_out_again(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        cuts in prop::collection::vec(1u8.., 1..5),
    ) {
        let mut sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for part in &parts {
            sent.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
            sent.extend_from_slice(part);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(b"0\r\n\r\n");
        check(&cuts, &sent);
        let outcome = read(Asked::Body, [&*sent]);
        prop_assert_eq!(outcome.body, parts.concat());
        prop_assert!(outcome.reusable);
    }
}
