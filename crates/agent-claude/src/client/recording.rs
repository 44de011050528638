//! A stream kept for the cache while it passes.

use agent_performance::cache::{CacheKey, RecordLimits, ResponseCache, StreamRecorder};
use bytes::Bytes;
use http::Response;

/// Records one answer. Dropped without [`store`](Self::store), nothing of it is kept.
pub(super) struct Recording {
    recorder: StreamRecorder,
    cache: ResponseCache,
    key: CacheKey,
}

impl Recording {
    /// Of the answer with this head; `None` when it may not be kept.
    pub(super) fn of<B>(response: &Response<B>, cache: &ResponseCache, key: &CacheKey) -> Option<Self> {
        let (status, headers) = (response.status(), response.headers());
        let recorder = StreamRecorder::new(status, headers, &[], RecordLimits::default())?;
        Some(Recording {
            recorder,
            cache: cache.clone(),
            key: key.clone(),
        })
    }

    pub(super) fn record(&mut self, chunk: &Bytes) {
        self.recorder.record(chunk);
    }

    /// To be called when the answer and its body both came to their proper end.
    pub(super) async fn store(self) {
        if let Some(response) = self.recorder.finish() {
            self.cache.put_response(self.key.as_str(), &response, None).await;
        }
    }
}
