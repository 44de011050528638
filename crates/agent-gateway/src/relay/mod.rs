//! Everything under `/v1`: passes requests on to the Messages API and its answers back, byte for byte.
//!
//! What is read on the way: the model and whether a stream is wanted ([`request`]), and what an answer used ([`observe`]).
//! What is changed: the credential and the headers of the connection ([`headers`]). What is added: `x-cache` and `age`
//! ([`cached`]), and the word that a broken stream lacks ([`piped`]). Nothing is sent twice,
//! but for a request whose key was refused while there is another one.

mod cached;
mod clock;
mod error;
mod headers;
mod observe;
mod piped;
mod recent;
mod request;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use agent_claude::client::{Meter, Operation, RequestKind};
use agent_performance::cache::{CacheKey, CacheStatus, RequestCaching};
use agent_performance::connection_pool::{PooledBody, RequestBody as Outgoing};
use agent_performance::instrumentation::under;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;

use crate::answer::{Answer, AnswerBody, Refusal};
use crate::input::trace_of;
use crate::parts::GatewayParts;
use crate::pipeline::{Context, RequestBody, Whole};
use crate::routes::RelayTarget;
use cached::{Cached, WholeAnswer};
use clock::Clock;
use error::{Interruption, RelayError};
use observe::{Costs, Events, Observer, Reading};
use piped::Piped;
use recent::Asked;
use request::Fields;
use upstream::Api;
pub use upstream::InvalidUpstream;

/// The longest answer that is read whole, to be stored or given to several. As long as the client of the API allows.
const MAX_WHOLE_ANSWER: usize = 32 << 20;

/// The slowest uplink that the wait for an answer allows for; a long prompt takes a while to send.
const UPLOAD_BYTES_PER_SECOND: u64 = 128 << 10;

/// Relays requests to one upstream.
pub(crate) struct Relay {
    api: Api,
    meter: Option<Arc<Meter>>,
    costs: Arc<Costs>,
    cached: Cached,
    messages_from_cache: bool,
}

/// A request with its body read. Boxed where it goes: it passes through several futures, each of which would have room for it.
struct Call {
    context: Context,
    head: Parts,
    uri: Uri,
    /// None where the request has none.
    body: Option<Whole>,
    kind: RequestKind,
    fields: Fields,
}

impl Relay {
    pub(crate) fn new(parts: &GatewayParts) -> Result<Self, InvalidUpstream> {
        let upstream = &parts.upstream;
        let meter = parts.metrics.as_ref();
        Ok(Relay {
            api: Api::new(upstream)?,
            meter: meter.map(|collector| Meter::new(collector, &upstream.base_url)),
            costs: Costs::new(parts.prices.clone(), parts.metrics.clone()),
            cached: Cached::new(parts.cache.clone(), parts.lifecycle.clone()),
            messages_from_cache: parts.settings.serve_messages_cache,
        })
    }

    /// Answers a request under `/v1`. Dropping the future, or the body of its answer, drops the upstream's request.
    pub(crate) async fn answer(
        &self,
        target: RelayTarget,
        context: Context,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let answer = match target {
            RelayTarget::Messages => self.message(context, head, body).await,
            RelayTarget::CountTokens => self.count(context, head, body).await,
            RelayTarget::Models | RelayTarget::Model
                if head.method == Method::GET && body.is_end_stream() =>
            {
                self.models(context, head).await
            }
            RelayTarget::Models | RelayTarget::Model | RelayTarget::Other => {
                self.pass(context, head, body).await.map_err(Arc::new)
            }
        };
        answer.map_err(|error| error.refusal())
    }

    async fn message(
        &self,
        context: Context,
        head: Parts,
        body: RequestBody,
    ) -> Result<Answer, Arc<RelayError>> {
        let body = body.whole().await.map_err(RelayError::from)?;
        if !(self.messages_from_cache && is_plain(&head.headers)) {
            let call = self.call(context, head, body, RequestKind::Messages)?;
            return self.send(call, None).await.map_err(Arc::new);
        }
        let caching = RequestCaching::of(&head.headers);
        // Before the body is looked into: the same bytes were, when their answer was stored.
        let key = match self.held(&context, &head, &body, caching) {
            Ok(answer) => return Ok(answer),
            Err(key) => key,
        };
        let call = self.call(context, head, body, RequestKind::Messages)?;
        if !call.fields.stream {
            return Box::pin(self.whole(call, &key, caching, observe::is_message)).await;
        }
        match self.cached.stream(&key, caching).await {
            Ok(answer) => Ok(answer),
            Err(status) => self
                .send(call, Some((key, caching, status)))
                .await
                .map_err(Arc::new),
        }
    }

    async fn count(
        &self,
        context: Context,
        head: Parts,
        body: RequestBody,
    ) -> Result<Answer, Arc<RelayError>> {
        let body = body.whole().await.map_err(RelayError::from)?;
        if !is_plain(&head.headers) {
            let call = self.call(context, head, body, RequestKind::CountTokens)?;
            return self.send(call, None).await.map_err(Arc::new);
        }
        let caching = RequestCaching::of(&head.headers);
        let key = match self.held(&context, &head, &body, caching) {
            Ok(answer) => return Ok(answer),
            Err(key) => key,
        };
        let call = self.call(context, head, body, RequestKind::CountTokens)?;
        Box::pin(self.whole(call, &key, caching, request::is_object)).await
    }

    async fn models(&self, context: Context, head: Parts) -> Result<Answer, Arc<RelayError>> {
        let uri = self.api.address(&head.uri)?;
        let caching = RequestCaching::of(&head.headers);
        let key = cached::key(context.tenant(), self.api.base(), &head, &[]);
        let call = Box::new(Call {
            context,
            head,
            uri,
            body: None,
            kind: RequestKind::Models,
            fields: Fields::default(),
        });
        Box::pin(self.whole(call, &key, caching, request::is_object)).await
    }

    /// The answer that memory holds, or the key to look further with.
    fn held(
        &self,
        context: &Context,
        head: &Parts,
        body: &[u8],
        caching: RequestCaching,
    ) -> Result<Answer, CacheKey> {
        let tenant = context.tenant();
        self.cached
            .held(self.api.base(), &Asked { tenant, head, body }, caching)
    }

    /// The request with its body, which is looked into where it is in no encoding.
    fn call(
        &self,
        context: Context,
        head: Parts,
        body: Whole,
        kind: RequestKind,
    ) -> Result<Box<Call>, RelayError> {
        let uri = self.api.address(&head.uri)?;
        let fields = if is_plain(&head.headers) {
            Fields::read(&body)?
        } else {
            Fields::default()
        };
        Ok(Box::new(Call {
            context,
            head,
            uri,
            body: Some(body),
            kind,
            fields,
        }))
    }

    /// Answers from the cache, or with what the upstream sends, once it is all there.
    async fn whole(
        &self,
        call: Box<Call>,
        key: &CacheKey,
        caching: RequestCaching,
        is_good: fn(&[u8]) -> bool,
    ) -> Result<Answer, Arc<RelayError>> {
        let fetch = || async {
            let (response, mut observer, mut clock) = self.ask(call).await?;
            let (head, body) = response.into_parts();
            let body = match read_whole(body, &mut clock).await {
                Ok(body) => body,
                Err(error) => {
                    observer.failed(error.error_type());
                    return Err(error);
                }
            };
            observer.ended(head.status, &body);
            Ok(WholeAnswer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        self.cached.whole(key, caching, is_good, fetch).await
    }

    /// Passes the upstream's answer on as it comes.
    async fn send(
        &self,
        call: Box<Call>,
        cache: Option<(CacheKey, RequestCaching, CacheStatus)>,
    ) -> Result<Answer, RelayError> {
        let id = call.context.id;
        let (response, observer, clock) = self.ask(call).await?;
        let (head, body) = response.into_parts();
        let encoded = head.headers.contains_key(CONTENT_ENCODING);
        let reading = if is_events(&head.headers) && !encoded {
            Reading::Events(Events::new(observer))
        } else {
            Reading::whole(observer, head.status, encoded)
        };
        let (recording, status) = match cache {
            Some((key, caching, status)) if matches!(reading, Reading::Events(_)) => (
                self.cached.record(key, caching, head.status, &head.headers),
                status,
            ),
            Some((_, _, status)) => (None, status),
            None => (None, CacheStatus::Bypass),
        };
        let closed = encoded || head.headers.contains_key(CONTENT_LENGTH);
        let body = Piped::new(body, reading, recording, clock, closed, id);
        let mut answer = Response::from_parts(head, AnswerBody::streamed(body));
        cached::mark(answer.headers_mut(), status);
        Ok(answer)
    }

    /// Sends a request whose body was read, and gives the head of its answer.
    async fn ask(&self, call: Box<Call>) -> Result<(Response<PooledBody>, Observer, Clock), RelayError> {
        let model = call.fields.model.as_deref().unwrap_or_default();
        let operation = under(trace_of(&call.head.headers), || {
            Operation::begin(self.meter.as_ref(), call.kind, model)
        });
        let mut observer = Observer::new(operation, Arc::clone(&self.costs));
        let timeouts = self.api.timeouts;
        let clock = Clock::start(timeouts.idle, timeouts.total);
        let bytes = call
            .body
            .as_ref()
            .map(|body| body.bytes().clone())
            .unwrap_or_default();
        let head_limit = if call.fields.stream {
            let upload = Duration::from_secs(bytes.len() as u64 / UPLOAD_BYTES_PER_SECOND);
            timeouts.first_byte.saturating_add(upload).min(timeouts.total)
        } else {
            // An answer that comes whole begins when it is ready.
            timeouts.total
        };
        // Copied only where there is a second key: its price is not for everybody.
        let spare = self.api.has_standby();
        let spare = spare.then(|| (call.head.clone(), call.uri.clone(), bytes.clone()));
        let body = Outgoing::from(bytes);
        let mut answer = self.api.send(call.head, call.uri, body, true, head_limit).await;
        let refused = answer
            .as_ref()
            .is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED);
        if let Some((head, uri, bytes)) = spare.filter(|_| refused) {
            // A key was refused: nothing was worked on, and nothing was shown yet.
            let body = Outgoing::from(bytes);
            answer = self.api.send(head, uri, body, true, head_limit).await;
        }
        match answer {
            Ok(response) => {
                if let Some(meter) = &self.meter {
                    meter.limits_in(response.headers());
                }
                Ok((response, observer, clock))
            }
            Err(error) => {
                observer.failed(error.error_type());
                Err(error)
            }
        }
    }

    /// Passes a request on that nothing is known of, both bodies as they come.
    async fn pass(&self, context: Context, head: Parts, body: RequestBody) -> Result<Answer, RelayError> {
        let uri = self.api.address(&head.uri)?;
        let timeouts = self.api.timeouts;
        let clock = Clock::start(timeouts.idle, timeouts.total);
        let body = Outgoing::streamed(body.map_err(Into::into));
        let response = self.api.send(head, uri, body, false, timeouts.total).await?;
        let (head, body) = response.into_parts();
        let body = Piped::new(body, Reading::Not, None, clock, true, context.id);
        let mut answer = Response::from_parts(head, AnswerBody::streamed(body));
        cached::mark(answer.headers_mut(), CacheStatus::Bypass);
        Ok(answer)
    }
}

/// Whether a request's body can be read as it is: it is in no encoding.
fn is_plain(headers: &HeaderMap) -> bool {
    let coding = headers.get(CONTENT_ENCODING);
    coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_events(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .map(|value| value.as_bytes())
        .unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// Reads an answer of at most [`MAX_WHOLE_ANSWER`] bytes.
async fn read_whole(mut body: PooledBody, clock: &mut Clock) -> Result<Bytes, RelayError> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|cx| match std::pin::Pin::new(&mut body).poll_frame(cx) {
            std::task::Poll::Ready(frame) => std::task::Poll::Ready(Ok(frame)),
            std::task::Poll::Pending => clock.poll_expired(cx).map(Err),
        });
        let Some(frame) = frame.await? else { break };
        let frame = frame.map_err(|_| Interruption::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        clock.progress();
        if first.len() + whole.len() + data.len() > MAX_WHOLE_ANSWER {
            return Err(RelayError::AnswerTooLarge {
                limit: MAX_WHOLE_ANSWER,
            });
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
