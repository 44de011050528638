//! The decoder against the format's rules, and its limits.

use crate::streams::decode;
use agent_claude::stream::{DecodeError, SseDecoder, SseEvent};

fn check(stream: &[u8], expected: &[(Option<&str>, &str)]) {
    let events = decode([stream]).expect("the stream decodes");
    let got: Vec<_> = events
        .iter()
        .map(|event| (event.name.as_deref(), event.data.as_str()))
        .collect();
    assert_eq!(got, expected, "{}", stream.escape_ascii());
    assert_eq!(
        decode(stream.chunks(1)).expect("the stream decodes"),
        events,
        "byte by byte: {}",
        stream.escape_ascii()
    );
}

#[test]
fn the_rules_of_the_format() {
    check(b"data: a\n\n", &[(None, "a")]);
    check(b"event: e\ndata: a\n\n", &[(Some("e"), "a")]);
    check(b"data: a\nevent: e\n\n", &[(Some("e"), "a")]);
    check(b"event: one\nevent: two\ndata: a\n\n", &[(Some("two"), "a")]);
    check(b"event: e\n\ndata: a\n\n", &[(None, "a")]);
    check(b"data: a\ndata: b\ndata:\ndata: c\n\n", &[(None, "a\nb\n\nc")]);
    check(
        b"data: a\nevent: late\nid: 5\ndata: bbbbbbbbbbbbbbbbbbbbbb\n\n",
        &[(Some("late"), "a\nbbbbbbbbbbbbbbbbbbbbbb")],
    );
    check(b"data\n\n", &[(None, "")]);
    check(b"data\ndata\n\n", &[(None, "\n")]);
    check(b"data:a\ndata:  b \n\n", &[(None, "a\n b ")]);
    check(b"data: a: b\n\n", &[(None, "a: b")]);
    check(
        b"datax: a\nDATA: b\n data: c\nunknown\n\ndata: d\n\n",
        &[(None, "d")],
    );
    check(
        b": comment\n\n:\ndata: a\n: in between\ndata: b\n\n",
        &[(None, "a\nb")],
    );
    check(
        b"data: a\r\rdata: b\r\n\r\ndata: c\n\r\n",
        &[(None, "a"), (None, "b"), (None, "c")],
    );
    check(b"\n\n\r\r\r\n\r\ndata: a\n\n", &[(None, "a")]);
    check(b"\xEF\xBB\xBFdata: a\n\n", &[(None, "a")]);
    check(b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n", &[(None, "b")]);
    check(b"data: a\n\n\xEF\xBB\xBFdata: b\n\n", &[(None, "a")]);
    check(
        "data: \u{2028}\u{85}\u{1F600}\n\n".as_bytes(),
        &[(None, "\u{2028}\u{85}\u{1F600}")],
    );
    check(b"data: cut off\n", &[]);
    check(b"data: cut off", &[]);
    check(b"", &[]);
}

#[test]
fn id_and_retry() {
    let stream = b"id: 7\nretry: 1500\ndata: a\n\nid: a\0b\nretry: -1\nretry:\ndata: b\n\nid\ndata: c\n\nretry: 99999999999999999999\ndata: d\n\n";
    let got: Vec<_> = decode([stream.as_slice()])
        .unwrap()
        .into_iter()
        .map(|event| (event.data, event.id, event.retry_ms))
        .collect();
    let expected = [
        ("a".to_owned(), Some("7".to_owned()), Some(1500)),
        ("b".to_owned(), None, None),
        ("c".to_owned(), Some(String::new()), None),
        ("d".to_owned(), None, None),
    ];
    assert_eq!(got, expected);
}

#[test]
fn what_is_not_utf8_is_an_error_for_good_and_events_before_it_count() {
    for (stream, field, at) in [
        (b"data: a\n\ndata: ok \xFF\n\n".as_slice(), "data", 3),
        (b"data: a\n\nevent: \xC3\ndata: x\n\n", "event", 0),
        (b"data: a\n\nid: \xC3(\ndata: x\n\n", "id", 0),
    ] {
        let mut decoder = SseDecoder::new();
        decoder.push(stream);
        assert_eq!(decoder.next_event().unwrap().unwrap().data, "a");
        let error = DecodeError::InvalidUtf8 { field, at };
        assert_eq!(decoder.next_event(), Err(error.clone()));
        decoder.push(b"data: more\n\n");
        assert_eq!(decoder.next_event(), Err(error));
    }
    // Nobody reads a comment.
    check(b": \xFF\ndata: a\n\n", &[(None, "a")]);
}

#[test]
fn an_event_may_be_as_long_as_the_limit_and_no_longer() {
    let limit = 100;
    for chunk in [1, 3, 1000] {
        // `data: `, the text and one line end; the blank line does not count.
        for (length, fits) in [(limit - 7, true), (limit - 6, false)] {
            let stream = format!("data: small\n\ndata: {}\n\n", "x".repeat(length));
            let mut decoder = SseDecoder::with_max_event_bytes(limit);
            let mut lengths = Vec::new();
            let mut failure = None;
            for chunk in stream.as_bytes().chunks(chunk) {
                decoder.push(chunk);
                loop {
                    match decoder.next_event() {
                        Ok(Some(event)) => lengths.push(event.data.len()),
                        Ok(None) => break,
                        Err(error) => {
                            failure = Some(error);
                            break;
                        }
                    }
                }
            }
            let expected = if fits { vec![5, length] } else { vec![5] };
            assert_eq!(lengths, expected, "chunks of {chunk}");
            assert_eq!(
                failure,
                (!fits).then_some(DecodeError::EventTooLarge { limit }),
                "chunks of {chunk}"
            );
        }
    }
}

#[test]
fn the_buffer_never_outgrows_the_limit_and_a_chunk() {
    let (limit, chunk) = (64 * 1024, [b'x'; 1000]);
    for line in ["data: ", ": comment ", "unknown", "event: "] {
        let mut decoder = SseDecoder::with_max_event_bytes(limit);
        decoder.push(line.as_bytes());
        let mut failed = false;
        for _ in 0..1000 {
            decoder.push(&chunk);
            failed |= decoder.next_event().is_err();
            assert!(
                decoder.capacity() <= limit + chunk.len(),
                "{line}: {}",
                decoder.capacity()
            );
        }
        assert!(failed, "{line}");
        assert_eq!(decoder.capacity(), 0, "a failed decoder holds nothing");
    }
}

#[test]
fn small_events_and_comments_for_ever_fill_nothing() {
    for piece in [
        ": keep-alive\n",
        ": keep-alive\r\n\r\n",
        "\n",
        "event: ping\ndata: {}\n\n",
        "unknown: x\r",
    ] {
        let mut decoder = SseDecoder::with_max_event_bytes(1000);
        let chunk = piece.repeat(7);
        for _ in 0..10_000 {
            decoder.push(&chunk.as_bytes()[..chunk.len() - 3]);
            while decoder.next_event().unwrap().is_some() {}
            decoder.push(&chunk.as_bytes()[chunk.len() - 3..]);
            while decoder.next_event().unwrap().is_some() {}
        }
        assert!(
            decoder.capacity() <= 8 * 1024,
            "{piece:?}: {}",
            decoder.capacity()
        );
        assert!(decoder.pending_bytes() <= piece.len(), "{piece:?}");
    }
}

#[test]
fn pushing_without_taking_out_loses_nothing() {
    let mut decoder = SseDecoder::new();
    for round in 0..100 {
        decoder.push(format!("data: {round}\n\n").as_bytes());
        decoder.push(b"data: x\n\n");
        if round % 10 == 0 {
            assert!(decoder.next_event().unwrap().is_some());
        }
    }
    let mut rest = 0;
    while decoder.next_event().unwrap().is_some() {
        rest += 1;
    }
    assert_eq!(rest, 190);
    assert_eq!(decoder.pending_bytes(), 0);
}

#[test]
fn a_large_event_takes_time_in_proportion_to_its_bytes() {
    // Searched anew for each chunk, this event would cost 4 MiB × 2 M chunks: hours.
    let data = "x".repeat(4 * 1024 * 1024);
    let stream = format!("event: big\ndata: {data}\n\n");
    let mut decoder = SseDecoder::new();
    let mut found = None;
    for chunk in stream.as_bytes().chunks(2) {
        decoder.push(chunk);
        if let Some(SseEvent { data, .. }) = decoder.next_event().unwrap() {
            found = Some(data.len());
        }
    }
    assert_eq!(found, Some(data.len()));
}
