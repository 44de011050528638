use http::{Method, Response, StatusCode};

use super::Malformed;
use super::chunked::Chunked;
use super::head::{self, Length};

/// Bytes of all heads that one request brings, those of interim answers too. Longer than what servers send, and than what
/// the gateway takes itself.
const MAX_HEADS: usize = 64 << 10;

/// What the request says about the answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// For the head alone.
    Head,
    Body,
}

impl From<&Method> for Asked {
    fn from(method: &Method) -> Self {
        if *method == Method::HEAD {
            Asked::Head
        } else {
            Asked::Body
        }
    }
}

/// One answer on its way in, however it is cut. Between pieces it holds nothing, except a head that is not all there.
#[derive(Debug)]
pub(crate) struct Incoming {
    asked: Asked,
    begun: Vec<u8>,
    /// Bytes of heads so far, without those in `begun`.
    heads: usize,
    keeps_open: bool,
    /// The head says how long the body is.
    measured: bool,
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Of this many bytes more.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
    Failed(Malformed),
}

impl Incoming {
    pub(crate) fn new(asked: Asked) -> Self {
        Incoming {
            asked,
            begun: Vec::new(),
            heads: 0,
            keeps_open: false,
            measured: false,
            body: Body::Done,
        }
    }

    /// Takes `bytes` until the head is complete: then gives it, and how many of them belonged to it. Interim answers
    /// are passed over.
    pub(crate) fn head(&mut self, bytes: &[u8]) -> Result<Option<(Response<()>, usize)>, Malformed> {
        let before = self.begun.len();
        if before == 0 {
            let (found, taken) = self.parse(bytes)?;
            if found.is_none() {
                self.begun = bytes[taken..].to_vec();
            }
            return Ok(found.map(|found| (found, taken)));
        }
        self.begun.extend_from_slice(bytes);
        // A head ends with a line; without this, one that comes a byte at a time would be read as often as it has bytes.
        if !bytes.contains(&b'\n') {
            return self.within_limit(before + bytes.len()).map(|()| None);
        }
        let mut begun = std::mem::take(&mut self.begun);
        let (found, taken) = self.parse(&begun)?;
        if let Some(found) = found {
            // What was begun did not end before: the end is in `bytes`.
            return Ok(Some((found, taken - before)));
        }
        begun.drain(..taken);
        self.begun = begun;
        Ok(None)
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<(Option<Response<()>>, usize), Malformed> {
        let mut at = 0;
        loop {
            let Some((head, length)) = head::parse(&bytes[at..])? else {
                self.within_limit(bytes.len() - at)?;
                return Ok((None, at));
            };
            self.within_limit(length)?;
            (self.heads, at) = (self.heads + length, at + length);
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Malformed::Upgrade);
            }
            if !head.status.is_informational() {
                self.keeps_open = head.keeps_open();
                self.body = self.body_of(head.status, head.length()?);
                self.measured = matches!(self.body, Body::Done | Body::Length(_));
                let mut response = Response::new(());
                *response.version_mut() = head.version;
                *response.status_mut() = head.status;
                *response.headers_mut() = head.headers;
                return Ok((Some(response), at));
            }
        }
    }

    fn within_limit(&self, more: usize) -> Result<(), Malformed> {
        if self.heads + more > MAX_HEADS {
            return Err(Malformed::LongHead { limit: MAX_HEADS });
        }
        Ok(())
    }

    fn body_of(&self, status: StatusCode, length: Length) -> Body {
        let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        match length {
            _ if none || self.asked == Asked::Head => Body::Done,
            Length::Known(0) => Body::Done,
            Length::Known(length) => Body::Length(length),
            Length::Chunked => Body::Chunked(Chunked::new()),
            Length::Open => Body::UntilClose,
        }
    }

    /// Takes bytes that come after the head. What they have of the body is moved to their front; how much that is.
    pub(crate) fn body(&mut self, bytes: &mut [u8]) -> usize {
        let (kept, taken) = match &mut self.body {
            Body::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                if *left == 0 {
                    self.body = Body::Done;
                }
                (here, here)
            }
            Body::Chunked(chunked) => {
                let (kept, taken, read) = chunked.decode(bytes);
                if chunked.is_done() {
                    self.body = Body::Done;
                }
                if let Err(malformed) = read {
                    self.body = Body::Failed(malformed);
                }
                (kept, taken)
            }
            Body::UntilClose => (bytes.len(), bytes.len()),
            Body::Done | Body::Failed(_) => (0, 0),
        };
        // More than was asked for: whatever it is, it would be taken for the next answer.
        if taken < bytes.len() {
            self.keeps_open = false;
        }
        kept
    }

    /// Takes the end of the connection. False when that leaves the body incomplete.
    pub(crate) fn closed(&mut self) -> bool {
        self.keeps_open = false;
        if self.body == Body::UntilClose {
            self.body = Body::Done;
        }
        self.body == Body::Done
    }

    /// All of the body came.
    pub(crate) fn is_done(&self) -> bool {
        self.body == Body::Done
    }

    /// Why nothing more will come of it.
    pub(crate) fn failed(&self) -> Option<Malformed> {
        match self.body {
            Body::Failed(malformed) => Some(malformed),
            _ => None,
        }
    }

    /// Bytes of the body that are still to come, where the head says how many. Of a body that only its end measures, that
    /// is not told even behind the end: who passes it on has not promised a length, and may add to it.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.body {
            Body::Length(left) => Some(left),
            _ => self.measured.then_some(0),
        }
    }

    /// The next request may follow: the answer ended where it says, and nothing came behind it.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_done() && self.keeps_open
    }
}
