//! The fuzz target's checks, on bytes that are generated rather than found.

#[path = "../../fuzz/fuzz_targets/body.rs"]
mod body;
use proptest::prelude::*;

/// Pieces of streams, right and wrong.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&[u8]] = &[
        b"event: content_block_delta",
        b"event:",
        b"event",
        b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\n\"}}",
        b"data: {\"type\":\"message_start\",\"message\":{}}",
        b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
        b"data: {\"type\":\"message_stop\"}",
        b"data: {",
        b"data: }",
        b"data",
        b"data:  x ",
        b"id: 1",
        b"id: \0",
        b"retry: 10",
        b"retry: x",
        b": comment",
        b"\xEF\xBB\xBF",
        b"\xEF\xBB",
        b"\xFF",
        "😀\u{2028}".as_bytes(),
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\r\n",
    ];
    prop_oneof![
        5 => prop::sample::select(known.to_vec()).prop_map(<[u8]>::to_vec),
        5 => prop::sample::select(known[20..].to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (1..300_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn pieces_of_streams(
        pieces in prop::collection::vec(piece(), 0..24),
        cuts in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        body::check(&cuts, &pieces.concat());
    }

    #[test]
    fn any_bytes(stream in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(any::<u8>(), 0..8)) {
        body::check(&cuts, &stream);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn streams_with_bytes_changed(
        which in 0..crate::streams::STREAMS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cuts in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut stream = crate::streams::STREAMS[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        body::check(&cuts, &stream);
    }
}
