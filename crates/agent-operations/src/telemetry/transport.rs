//! One request to the collector, over the connections that everything else uses.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::connection_pool::{HttpConnectionPool, SendLimits};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use prost::Message;

use super::settings::OtlpSettings;

/// Bytes of an answer that are read: it says how much was refused and why, or is an error page.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Characters of a collector's own words in a message.
const MAX_REASON: usize = 200;

/// The longest wait that a collector may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotSent {
    /// What went wrong, for the log.
    pub(super) why: String,
    /// When the collector wants to be asked again at the earliest.
    pub(super) retry_after: Option<Duration>,
}

impl NotSent {
    fn because(why: impl Into<String>) -> Self {
        NotSent {
            why: why.into(),
            retry_after: None,
        }
    }
}

/// A collector of telemetry.
#[derive(Clone, Debug)]
pub struct Collector {
    settings: Arc<OtlpSettings>,
    origin: String,
    connections: Arc<HttpConnectionPool>,
}

impl Collector {
    /// Opens nothing.
    pub fn new(settings: OtlpSettings, connections: Arc<HttpConnectionPool>) -> Self {
        Collector {
            origin: settings.url.origin().ascii_serialization(),
            settings: Arc::new(settings),
            connections,
        }
    }

    /// Where it is, for people.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn settings(&self) -> &OtlpSettings {
        &self.settings
    }

    /// Posts one message and reads the answer, which must be an `Answer`. Takes no longer than the time-out. Cancelling closes the connection.
    pub(super) async fn send<Answer: Message + Default>(
        &self,
        message: &impl Message,
    ) -> Result<Answer, NotSent> {
        let within = self.settings.timeout;
        match tokio::time::timeout(within, self.post(message)).await {
            Ok(sent) => sent,
            Err(_) => Err(NotSent::because(format!("no answer within {within:?}"))),
        }
    }

    async fn post<Answer: Message + Default>(&self, message: &impl Message) -> Result<Answer, NotSent> {
        let failed = |error: &dyn std::fmt::Display| NotSent::because(error.to_string());
        let mut body = message.encode_to_vec();
        let mut request = Request::post(self.settings.url.as_str())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, concat!("claude-agent/", env!("CARGO_PKG_VERSION")));
        if self.settings.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
            body = compressed(&body).map_err(|error| failed(&error))?;
        }
        let mut request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        for (name, value) in &self.settings.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let client = self.connections.get_client(&self.origin).await;
        let client = client.map_err(|error| failed(&error))?;
        let limits = SendLimits {
            acquire: self.settings.timeout,
            connect: self.settings.timeout,
            head: self.settings.timeout,
        };
        let answer = client.send_within(request, limits).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let (head, body) = answer.into_parts();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let read = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        if !head.status.is_success() {
            let asked = matches!(
                head.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            return Err(NotSent {
                why: format!("it answered {}", head.status.as_u16()),
                retry_after: asked.then(|| seconds(head.headers.get(RETRY_AFTER))).flatten(),
            });
        }
        let read = read.map_err(|error| NotSent::because(format!("its answer can't be read: {error}")))?;
        Answer::decode(read.to_bytes()).map_err(|_| {
            NotSent::because("what answered is no OTLP collector; check the address and its port")
        })
    }
}

/// The beginning of what a collector says, on one line.
pub(super) fn quoted(text: &str) -> String {
    text.chars()
        .take(MAX_REASON)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn seconds(header: Option<&HeaderValue>) -> Option<Duration> {
    let seconds = header?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}
