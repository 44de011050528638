//! A session as a document, sent while it is read: memory does not depend on its length.

use std::io::{self, Write};

use agent_core::session::SessionId;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::Request;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;

use super::{AgentApi, failures};
use crate::answer::{Answer, AnswerBody, BodyFailure, Refusal};
use crate::input::{Kind, Parameter, Query};
use crate::pipeline::RequestBody;

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that wait for the client; the export waits when there are as many.
const WAITING: usize = 4;

/// When a place for another export may be free.
const BUSY_RETRY: std::time::Duration = std::time::Duration::from_secs(2);

/// A part of the document; an empty one is its end.
type Piece = Result<Bytes, BodyFailure>;

pub(crate) static PARAMETERS: &[Parameter] = &[Parameter {
    name: "format",
    kind: Kind::Choice(&["json", "markdown"]),
    help: "`json` (the default) has everything and can be read by programs, `markdown` is for people.",
}];

impl AgentApi {
    pub(super) async fn export_session(
        &self,
        id: SessionId,
        request: &Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), PARAMETERS)?;
        let is_markdown = query.text("format") == Some("markdown");
        // Before the answer begins: afterwards nothing but breaking off would be left.
        self.store
            .get(&id)
            .await
            .map_err(|error| failures::of_store(&error))?;
        let place = std::sync::Arc::clone(&self.exports)
            .try_acquire_owned()
            .map_err(|_| {
                let detail = "as many exports as allowed are under way; try again";
                Refusal::new(http::StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(BUSY_RETRY)
            })?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let store = self.store.clone();
        let task = async move {
            let out = Pieces {
                sender: sender.clone(),
                piece: Vec::with_capacity(PIECE_BYTES),
            };
            let written = match is_markdown {
                true => store.export_markdown(&id, out).await.map(drop),
                false => store.export_json(&id, out).await.map(drop),
            };
            match written {
                // Where the client has gone, nobody is left to be told.
                Ok(()) => drop(sender.send(Ok(Bytes::new())).await),
                Err(_) if sender.is_closed() => {}
                Err(error) => tracing::error!(%error, session = %id, "an export broke off"),
            }
            drop(place);
        };
        drop(self.lifecycle.spawn("export-session", task));
        let (content_type, ending) = match is_markdown {
            true => ("text/markdown; charset=utf-8", "md"),
            false => ("application/json", "json"),
        };
        let mut answer = Answer::new(AnswerBody::streamed(StreamBody::new(frames(receiver))));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let disposition = format!("attachment; filename=\"session-{id}.{ending}\"");
        if let Ok(disposition) = HeaderValue::try_from(disposition) {
            headers.insert(CONTENT_DISPOSITION, disposition);
        }
        Ok(answer)
    }
}

/// The pieces, up to the empty one that ends them. Where it is missing the body breaks off, so that no client takes what it
/// has for the whole.
fn frames(receiver: mpsc::Receiver<Piece>) -> impl Stream<Item = Result<Frame<Bytes>, BodyFailure>> {
    unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(piece)) if piece.is_empty() => None,
            Some(Ok(piece)) => Some((Ok(Frame::data(piece)), Some(receiver))),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err("the export broke off".into()), None)),
        }
    })
}

/// Hands what is written over to the answer. Blocks while the client is behind, and fails when it is gone.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
