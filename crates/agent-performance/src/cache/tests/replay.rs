use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use proptest::prelude::*;

use super::cache;
use crate::cache::{CachedResponse, Lookup, RecordLimits, RecordingBody, RequestCaching, StreamRecorder};

const LIMITS: RecordLimits = RecordLimits { bytes: 64, chunks: 8 };

/// Frames as a server sends them, and perhaps a failure at the end.
struct Frames {
    frames: VecDeque<Bytes>,
    fails: bool,
}

impl Frames {
    fn new(chunks: &[&str], fails: bool) -> Self {
        let frames = chunks
            .iter()
            .map(|chunk| Bytes::copy_from_slice(chunk.as_bytes()));
        Frames {
            frames: frames.collect(),
            fails,
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(match self.frames.pop_front() {
            Some(chunk) => Some(Ok(Frame::data(chunk))),
            None if self.fails => Some(Err("broke")),
            None => None,
        })
    }

    /// Known at the last frame already, as with a length in the head.
    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.fails
    }
}

fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn recorder(headers: &HeaderMap) -> StreamRecorder {
    StreamRecorder::new(StatusCode::OK, headers, &[], LIMITS).unwrap()
}

async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B) -> (Vec<Bytes>, bool) {
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => chunks.push(frame.into_data().unwrap_or_default()),
            Err(_) => return (chunks, false),
        }
        // As a server does that has nothing more to ask for.
        if body.is_end_stream() {
            break;
        }
    }
    (chunks, true)
}

/// What passes, and what is stored.
async fn record(frames: Frames, headers: &HeaderMap, complete: bool) -> (Vec<Bytes>, Option<CachedResponse>) {
    let stored = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&stored);
    let store = move |response| *slot.lock().unwrap() = Some(response);
    let body = RecordingBody::new(frames, recorder(headers), move |_| complete, store);
    let (passed, _) = read(body).await;
    let stored = stored.lock().unwrap().take();
    (passed, stored)
}

#[tokio::test]
async fn a_complete_stream_is_replayed_chunk_by_chunk() {
    let chunks = ["event: a\n\n", "da", "ta: ü\n\n"];
    let headers = head(&[
        ("content-type", "text/event-stream"),
        ("request-id", "r"),
        ("set-cookie", "s"),
    ]);
    let (passed, stored) = record(Frames::new(&chunks, false), &headers, true).await;
    assert_eq!(passed, chunks);
    let cache = cache(10, 1000);
    cache.put_response("k", &stored.unwrap(), None).await;
    let Lookup::Hit { value, .. } = cache.lookup_response("k", RequestCaching::Use).await else {
        panic!("it was stored");
    };
    assert!(value.is_stream());
    let response = value.into_response();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers(),
        &head(&[("content-type", "text/event-stream")])
    );
    assert_eq!(response.body().size_hint().exact(), None);
    assert_eq!(read(response.into_body()).await.0, chunks);
}

#[tokio::test]
async fn what_is_not_complete_is_not_kept_and_passes_all_the_same() {
    let none = HeaderMap::new();
    let (passed, stored) = record(Frames::new(&["a", "b"], true), &none, true).await;
    assert_eq!((passed.len(), stored), (2, None), "broke");
    let (passed, stored) = record(Frames::new(&["a"], false), &none, false).await;
    assert_eq!((passed.len(), stored), (1, None), "judged incomplete");
    let (passed, stored) = record(
        Frames::new(&["ab"], false),
        &head(&[("content-length", "3")]),
        true,
    )
    .await;
    assert_eq!((passed.len(), stored), (1, None), "shorter than promised");

    let long = "x".repeat(40);
    let (passed, stored) = record(Frames::new(&[&long, &long, "end"], false), &none, true).await;
    assert_eq!((passed.len(), stored), (3, None), "more bytes than are recorded");
    let (passed, stored) = record(Frames::new(&["x"; 9], false), &none, true).await;
    assert_eq!((passed.len(), stored), (9, None), "more chunks than are recorded");
    let (_, stored) = record(Frames::new(&["x"; 8], false), &none, true).await;
    assert_eq!(stored.unwrap().chunks().count(), 8, "exactly as many");

    let dropped = Arc::new(Mutex::new(false));
    let slot = Arc::clone(&dropped);
    let mut body = RecordingBody::new(
        Frames::new(&["a", "b"], false),
        recorder(&none),
        |_| true,
        move |_| *slot.lock().unwrap() = true,
    );
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert!(!*dropped.lock().unwrap(), "cancelled in the middle");
}

#[test]
fn only_answers_that_may_be_kept_are_recorded() {
    let no_store = head(&[("cache-control", "no-store")]);
    assert!(StreamRecorder::new(StatusCode::OK, &no_store, &[], LIMITS).is_none());
    assert!(StreamRecorder::new(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), &[], LIMITS).is_none());
    let whole = |headers: &HeaderMap, body: &'static str| {
        CachedResponse::whole(
            StatusCode::OK,
            headers,
            &[HeaderName::from_static("request-id")],
            Bytes::from(body),
        )
    };
    assert!(whole(&head(&[("content-length", "3")]), "ab").is_none());
    assert!(whole(&head(&[("content-length", "x")]), "ab").is_none());
    let kept = whole(
        &head(&[("content-length", "2"), ("request-id", "r"), ("date", "d")]),
        "ab",
    )
    .unwrap();
    assert_eq!(kept.headers().count(), 1);
    assert!(!kept.is_stream());
    let mut many = HeaderMap::new();
    for n in 0..65 {
        many.append("request-id", HeaderValue::from(n));
    }
    assert!(whole(&many, "").is_none());
}

#[tokio::test]
async fn foreign_bytes_are_a_miss_and_go() {
    let cache = cache(10, 1000);
    super::put(&cache, "k", "ACR1 but nothing more").await;
    assert_eq!(
        cache.lookup_response("k", RequestCaching::Use).await,
        Lookup::Miss
    );
    let stats = cache.get_stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (0, 1, 0));
}

#[test]
fn boundaries_that_no_stream_has_are_refused() {
    for (ends, sound) in [
        (vec![1, 3], true),
        (vec![3, 3], false),
        (vec![0, 3], false),
        (vec![2, 1, 3], false),
        (vec![2], false),
        (vec![4], false),
        (vec![], false),
    ] {
        let encoded = CachedResponse::stream(Vec::new(), Bytes::from("abc"), ends.clone()).encode();
        assert_eq!(CachedResponse::decode(encoded).is_some(), sound, "{ends:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_recorded_is_replayed(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
        value in "[ -~]{0,20}",
    ) {
        let chunks: Vec<Bytes> = chunks.into_iter().map(Bytes::from).collect();
        let headers: HeaderMap = [(http::header::CONTENT_TYPE, HeaderValue::from_str(&value).unwrap())].into_iter().collect();
        let limits = RecordLimits { bytes: 1000, chunks: 1000 };
        let mut recorder = StreamRecorder::new(StatusCode::OK, &headers, &[], limits).unwrap();
        for chunk in &chunks {
            recorder.record(chunk);
        }
        let recorded = recorder.finish().unwrap();
        let replayed = CachedResponse::decode(recorded.encode()).unwrap();
        prop_assert_eq!(&replayed, &recorded);
        let expected: Vec<_> = chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().collect();
        prop_assert_eq!(replayed.chunks().collect::<Vec<_>>(), expected);
    }

    /// Bytes from anywhere neither panic nor make a response that differs from what it encodes to.
    #[test]
    fn decoding_trusts_nothing(mut bytes in prop::collection::vec(any::<u8>(), 0..80), magic in any::<bool>()) {
        if magic && bytes.len() >= 8 {
            bytes[..8].copy_from_slice(b"ACR1\x01\0\0\0");
        }
        let bytes = Bytes::from(bytes);
        if let Some(decoded) = CachedResponse::decode(bytes.clone()) {
            prop_assert_eq!(CachedResponse::decode(decoded.encode()), Some(decoded));
        }
    }

    /// One flipped bit, anywhere: no panic, and no chunk outside of the body.
    #[test]
    fn damage_is_survived(at in 0..60usize, bit in 0..8u8) {
        let headers = head(&[("content-type", "text/plain")]);
        let mut recorder = recorder(&headers);
        recorder.record(&Bytes::from_static(b"one"));
        recorder.record(&Bytes::from_static(b"two"));
        let mut bytes = recorder.finish().unwrap().encode().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Some(decoded) = CachedResponse::decode(Bytes::from(bytes)) {
            prop_assert_eq!(decoded.chunks().map(|chunk| chunk.len()).sum::<usize>(), 6);
        }
    }
}
