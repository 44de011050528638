//! The requests of one call.

use agent_performance::connection_pool::{HttpConnectionPool, PoolError, PooledBody, SendError};
use agent_security::network::{UrlError, WebUrl};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use super::body::{Decoder, Encoding};
use super::page;
use crate::tools::text::binary_kind;

/// Redirects within one host: a slash, https, a language, a version, and one to spare.
const MAX_REDIRECTS: usize = 5;

/// Bytes that a body may have on the wire beyond what it may have decoded: compressed data that hardly decodes to anything.
const WIRE_SLACK: usize = 64 * 1024;

/// Bytes at the start that tell text from what is not.
const SAMPLE: usize = 8 * 1024;

const AGENT: &str = concat!("claude-agent/", env!("CARGO_PKG_VERSION"));

/// What came of it.
pub(super) enum Answer {
    Page(Fetched),
    /// A redirect that leaves the host.
    Elsewhere(WebUrl),
}

pub(super) struct Fetched {
    pub(super) url: WebUrl,
    pub(super) status: StatusCode,
    /// The media type, without parameters.
    pub(super) kind: Option<String>,
    pub(super) is_html: bool,
    pub(super) text: String,
    /// There was more than was asked for.
    pub(super) is_cut: bool,
}

/// In words the model can act on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the request for {url} can't be made: {source}")]
    Request { url: String, source: http::Error },
    #[error("{from} redirects to an address that is not followed: {source}")]
    BadRedirect { from: String, source: UrlError },
    #[error("{0} redirected {MAX_REDIRECTS} times without an end")]
    TooManyRedirects(String),
    #[error("{url} is {what}, not text; nothing of it is shown")]
    NotText { url: String, what: String },
    #[error("{url} sends its text in an encoding that is not understood: {what}")]
    Encoding { url: String, what: String },
    #[error("{url} broke off: {source}")]
    Broken {
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(super) async fn fetch(
    pool: &HttpConnectionPool,
    first: &WebUrl,
    max_bytes: usize,
) -> Result<Answer, FetchError> {
    let mut url = first.clone();
    for _ in 0..=MAX_REDIRECTS {
        let response = get(pool, &url).await?;
        let Some(next) = redirect(&url, &response)? else {
            return read(url, response, max_bytes).await.map(Answer::Page);
        };
        if next.host() != first.host() {
            return Ok(Answer::Elsewhere(next));
        }
        url = next;
    }
    Err(FetchError::TooManyRedirects(first.to_string()))
}

async fn get(pool: &HttpConnectionPool, url: &WebUrl) -> Result<Response<PooledBody>, FetchError> {
    let request = Request::get(url.as_str())
        .header(USER_AGENT, AGENT)
        .header(
            ACCEPT,
            "text/html, text/markdown, text/plain, application/json, text/*;q=0.9, */*;q=0.1",
        )
        .header(ACCEPT_ENCODING, "gzip")
        .body(Full::<Bytes>::default())
        .map_err(|source| FetchError::Request {
            url: url.to_string(),
            source,
        })?;
    let client = pool.get_client(url.as_str()).await?;
    Ok(client.send(request).await?)
}

/// Where the answer leads, when it is a redirect.
fn redirect(from: &WebUrl, response: &Response<PooledBody>) -> Result<Option<WebUrl>, FetchError> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| redirects) else {
        return Ok(None);
    };
    let bad = |source| FetchError::BadRedirect {
        from: from.to_string(),
        source,
    };
    // Bytes beyond ASCII have no meaning of their own there.
    let location = location.to_str().map_err(|_| bad(UrlError::Malformed))?;
    from.redirect(location).map(Some).map_err(bad)
}

async fn read(url: WebUrl, response: Response<PooledBody>, max_bytes: usize) -> Result<Fetched, FetchError> {
    let (parts, mut body) = response.into_parts();
    let media = Media::of(&parts.headers);
    if let Some(what) = media.not_text() {
        return Err(FetchError::NotText {
            url: url.to_string(),
            what,
        });
    }
    let encoding = header(&parts.headers, CONTENT_ENCODING).unwrap_or_default();
    let Some(encoding) = Encoding::named(&encoding) else {
        return Err(FetchError::Encoding {
            url: url.to_string(),
            what: encoding,
        });
    };
    let mut decoder = Decoder::new(encoding, max_bytes);
    let mut on_wire = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| FetchError::Broken {
            url: url.to_string(),
            source: source.into(),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        on_wire = on_wire.saturating_add(data.len());
        decoder.push(&data).map_err(|source| FetchError::Broken {
            url: url.to_string(),
            source: source.into(),
        })?;
        if decoder.is_full() {
            break;
        }
        if on_wire > max_bytes.saturating_add(WIRE_SLACK) {
            decoder.cut();
            break;
        }
    }
    let (bytes, is_cut) = decoder.finish().map_err(|source| FetchError::Broken {
        url: url.to_string(),
        source: source.into(),
    })?;
    let declared = media
        .charset
        .as_deref()
        .and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    // UTF-16 is full of what looks like binary data.
    if declared.is_none_or(|charset| charset.is_ascii_compatible())
        && let Some(what) = binary_kind(&bytes[..bytes.len().min(SAMPLE)])
    {
        return Err(FetchError::NotText {
            url: url.to_string(),
            what: what.to_owned(),
        });
    }
    let (text, ..) = declared.unwrap_or(encoding_rs::UTF_8).decode(&bytes);
    let is_html = match &media.kind {
        Some(kind) => matches!(kind.as_str(), "text/html" | "application/xhtml+xml"),
        None => page::looks_like_html(&text),
    };
    Ok(Fetched {
        url,
        status: parts.status,
        kind: media.kind,
        is_html,
        text: text.into_owned(),
        is_cut,
    })
}

/// What `content-type` says.
struct Media {
    kind: Option<String>,
    charset: Option<String>,
}

impl Media {
    fn of(headers: &HeaderMap) -> Self {
        let value = header(headers, CONTENT_TYPE).unwrap_or_default();
        let mut parts = value.split(';').map(str::trim);
        let kind = parts.next().filter(|kind| !kind.is_empty()).map(str::to_owned);
        let charset = parts
            .find_map(|parameter| parameter.strip_prefix("charset="))
            .map(|charset| charset.trim_matches('"').to_owned());
        Self { kind, charset }
    }

    /// What it is, when that isn't text. Where nothing is said, the bytes decide.
    fn not_text(&self) -> Option<String> {
        let kind = self.kind.as_deref()?;
        let (top, sub) = kind.split_once('/').unwrap_or((kind, ""));
        let is_text = top == "text"
            || sub.ends_with("+json")
            || sub.ends_with("+xml")
            || top == "application"
                && matches!(
                    sub,
                    "json"
                        | "xml"
                        | "javascript"
                        | "x-javascript"
                        | "ecmascript"
                        | "yaml"
                        | "x-yaml"
                        | "toml"
                        | "x-ndjson"
                        | "jsonl"
                        | "sql"
                        | "graphql"
                        | "x-sh"
                        | "x-httpd-php"
                        | "rtf"
                );
        (!is_text).then(|| format!("of type {kind}"))
    }
}

/// In lower case, with nothing unprintable, and short: it is told to the model.
fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(
        value
            .chars()
            .take(100)
            .collect::<String>()
            .trim()
            .to_ascii_lowercase(),
    )
}
