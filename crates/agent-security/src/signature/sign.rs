use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::header::CONTENT_TYPE;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Request};

use super::fields::{Input, Value};
use super::verify::{CONTENT_DIGEST, DERIVED, SIGNATURE, SIGNATURE_INPUT};
use super::{Message, SignatureError, SigningKey, content_digest};
use crate::token::NoRandomness;

/// Random bytes in a nonce: two never meet.
const NONCE_BYTES: usize = 18;

/// The name of our signature on a request; a proxy may add others.
const LABEL: &str = "sig1";

/// Why a request could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request names no host.
    #[error("the request can't be signed: {0}")]
    Request(#[from] SignatureError),
    /// No nonce could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Signs a request that is sent by `scheme` with `body`, at `now` (seconds since 1970): sets `content-digest` (where there is a body),
/// `signature-input` and `signature`. Every attempt of a request needs a signature of its own.
///
/// # Errors
/// See [`SignError`].
pub fn sign<B>(
    request: &mut Request<B>,
    body: &[u8],
    key: &SigningKey,
    scheme: &Scheme,
    now: u64,
) -> Result<(), SignError> {
    let mut nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| NoRandomness)?;
    let mut components = DERIVED.map(str::to_owned).to_vec();
    if body.is_empty() {
        request.headers_mut().remove(CONTENT_DIGEST);
    } else {
        request.headers_mut().insert(CONTENT_DIGEST, content_digest(body));
        components.push(CONTENT_DIGEST.to_owned());
    }
    if request.headers().contains_key(CONTENT_TYPE) {
        components.push(CONTENT_TYPE.as_str().to_owned());
    }
    let text = |name: &str, value: String| (name.to_owned(), Value::Text(value));
    let input = Input {
        components,
        parameters: vec![
            (
                "created".to_owned(),
                Value::Integer(i64::try_from(now).unwrap_or(i64::MAX)),
            ),
            text("nonce", BASE64_URL_SAFE_NO_PAD.encode(nonce)),
            text("keyid", key.id().to_owned()),
        ],
    };
    let signature = key.signature(&base_of(request, scheme, &input)?);
    let fields = [
        (SIGNATURE_INPUT, format!("{LABEL}={}", input.serialize())),
        (
            SIGNATURE,
            format!("{LABEL}=:{}:", BASE64_STANDARD.encode(signature)),
        ),
    ];
    for (name, value) in fields {
        let value = HeaderValue::try_from(value);
        let value = value.map_err(|_| SignatureError::Malformed("the key's name can't stand in a header"))?;
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

fn base_of<B>(request: &Request<B>, scheme: &Scheme, input: &Input) -> Result<Vec<u8>, SignatureError> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    let (parts, ()) = copy.into_parts();
    Message::of(&parts, scheme)?.base(input)
}
