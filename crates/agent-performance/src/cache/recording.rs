use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::{CachedResponse, StreamRecorder};

type Judge = Box<dyn FnOnce(&[u8]) -> bool + Send>;
type Store = Box<dyn FnOnce(CachedResponse) + Send>;

/// A body that passes through unchanged while a [`StreamRecorder`] looks on.
///
/// When it ends, `is_complete` is shown all of its bytes (an end of the body is not yet an end of what it carries), and
/// then `store` is given the answer. Neither runs if the body breaks, is dropped before its end, outgrows the recorder or
/// carries trailers.
pub struct RecordingBody<B> {
    body: B,
    recording: Option<Recording>,
}

struct Recording {
    recorder: StreamRecorder,
    is_complete: Judge,
    store: Store,
}

impl<B> RecordingBody<B> {
    /// Records `body`. `is_complete` and `store` run inside a poll and must not block.
    pub fn new(
        body: B,
        recorder: StreamRecorder,
        is_complete: impl FnOnce(&[u8]) -> bool + Send + 'static,
        store: impl FnOnce(CachedResponse) + Send + 'static,
    ) -> Self {
        RecordingBody {
            body,
            recording: Some(Recording {
                recorder,
                is_complete: Box::new(is_complete),
                store: Box::new(store),
            }),
        }
    }

    /// Passes `body` through without a recording, where a caller has but one type for both.
    pub fn unrecorded(body: B) -> Self {
        RecordingBody {
            body,
            recording: None,
        }
    }

    fn ended(&mut self) {
        if let Some(recording) = self.recording.take()
            && recording.recorder.is_recording()
            && (recording.is_complete)(recording.recorder.recorded())
            && let Some(response) = recording.recorder.finish()
        {
            (recording.store)(response);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RecordingBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match (&frame, &mut self.recording) {
            (None, _) => self.ended(),
            (Some(Ok(frame)), Some(recording)) => match frame.data_ref() {
                Some(data) => recording.recorder.record(data),
                None => self.recording = None,
            },
            (Some(Err(_)), _) => self.recording = None,
            (Some(Ok(_)), None) => {}
        }
        // Readers may stop here without asking for the end.
        if self.body.is_end_stream() {
            self.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for RecordingBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingBody")
            .field("recording", &self.recording.is_some())
            .finish_non_exhaustive()
    }
}
