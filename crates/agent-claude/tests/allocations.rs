//! A delta costs at most one allocation: its own text. One test alone in its process, for the counts are global.

use agent_claude::messages::{ContentBlock, Message};
use agent_claude::stream::{Accumulator, Delta, SseDecoder, StreamEvent};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const DELTAS: u64 = 10_000;

/// What the test harness allocates meanwhile on its own thread counts too, so the least of several rounds is the answer.
const ROUNDS: usize = 5;

fn allocations(mut work: impl FnMut()) -> u64 {
    let mut round = || {
        let before = dhat::HeapStats::get().total_blocks;
        work();
        dhat::HeapStats::get().total_blocks - before
    };
    (0..ROUNDS)
        .map(|_| round())
        .min()
        .expect("there is at least one round")
}

fn delta(delta: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}   \n\n"
    )
}

#[test]
fn a_delta_allocates_its_text_and_nothing_else() {
    let _profiler = dhat::Profiler::builder().testing().build();

    for (what, event) in [
        (
            "plain text",
            delta(r#"{"type":"text_delta","text":"some words, plain"}"#),
        ),
        (
            "text with escapes",
            delta(r#"{"type":"text_delta","text":"a \"b\"\n\u00e9\ud83d\ude00"}"#),
        ),
        (
            "thinking",
            delta(r#"{"type":"thinking_delta","thinking":"hm\n"}"#),
        ),
        (
            "tool input",
            delta(r#"{"type":"input_json_delta","partial_json":"{\"path\": \"a"}"#),
        ),
    ] {
        let stream = event.repeat(DELTAS as usize);
        let chunks: Vec<&[u8]> = stream.as_bytes().chunks(1000).collect();

        // The first chunk makes the buffer; from there on it is reused.
        let mut decoder = SseDecoder::new();
        decoder.push(chunks[0]);
        while decoder.next_event().unwrap().is_some() {}

        let mut seen = 0;
        let scanning = allocations(|| {
            for chunk in &chunks[1..] {
                decoder.push(chunk);
                while let Some(event) = decoder.next_event().unwrap() {
                    seen += event.data.len();
                }
            }
        });
        assert!(seen > 0);
        assert_eq!(scanning, 0, "{what}: finding events allocates nothing");

        let mut parsed = 0;
        let parsing = allocations(|| {
            for chunk in &chunks {
                decoder.push(chunk);
                while let Some(event) = decoder.next_event().unwrap() {
                    let event = event.parse().unwrap();
                    assert!(matches!(event, StreamEvent::ContentBlockDelta { .. }));
                    parsed += 1;
                }
            }
        });
        assert_eq!(parsed, DELTAS * ROUNDS as u64);
        assert_eq!(parsing, DELTAS, "{what}: one allocation for each text");
    }

    let mut accumulator = Accumulator::new();
    let begin = [
        StreamEvent::MessageStart {
            message: Box::new(Message::new("msg_1", "m")),
        },
        StreamEvent::ContentBlockStart {
            index: 0,
            block: Box::new(ContentBlock::text("")),
        },
    ];
    begin.iter().for_each(|event| accumulator.push(event).unwrap());
    let delta = StreamEvent::ContentBlockDelta {
        index: 0,
        delta: Delta::Text("some words, plain".into()),
    };
    let accumulating = allocations(|| (0..DELTAS).for_each(|_| accumulator.push(&delta).unwrap()));
    // One string that doubles: as many times as it takes from nothing to 170 KB.
    assert!(
        accumulating <= 20,
        "{accumulating} allocations for {DELTAS} deltas"
    );
}
