use std::sync::Arc;

use super::digest::{BodyDigest, Expected};
use super::fields::{Input, byte_sequences, inputs};
use super::{Message, SignatureError, VerifyingKey};

/// How old a signature may be: a request that waits in a queue passes, and nonces need not be remembered for long.
pub const MAX_AGE_SECONDS: u64 = 300;

/// How far a client's clock may be ahead of ours.
pub const CLOCK_SKEW_SECONDS: u64 = 30;

/// The shortest nonce, in characters: 96 random bits in base64.
const MIN_NONCE_BYTES: usize = 16;

/// The longest nonce, in characters; it is remembered.
const MAX_NONCE_BYTES: usize = 128;

pub(super) const SIGNATURE: &str = "signature";
pub(super) const SIGNATURE_INPUT: &str = "signature-input";
pub(super) const CONTENT_DIGEST: &str = "content-digest";

/// What every signature covers.
pub(super) const DERIVED: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// Checks signatures by the keys it knows.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
}

/// A request whose head was signed. Its body still has to be checked, and its nonce admitted.
#[derive(Clone, Debug)]
#[must_use = "check the body and admit the nonce"]
pub struct Verified {
    /// The key that signed it.
    pub key_id: Arc<str>,
    /// What makes it unique among the key's requests.
    pub nonce: String,
    body: Option<Expected>,
}

impl Verifier {
    /// Knows these keys; of two with one name the first counts.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }

    /// Checks who signed a request. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, message: &Message<'_>, now: u64) -> Result<Verified, SignatureError> {
        let (key, label, input) = self.chosen(message)?;
        covers_enough(message, &input)?;
        if input.text("alg").is_some_and(|alg| alg != key.algorithm().name()) {
            return Err(SignatureError::WrongAlgorithm(key.algorithm().name()));
        }
        in_time(&input, now)?;
        let nonce = input.text("nonce").ok_or(SignatureError::NoParameter("nonce"))?;
        if !(MIN_NONCE_BYTES..=MAX_NONCE_BYTES).contains(&nonce.len()) {
            return Err(SignatureError::Malformed("a nonce has 16 to 128 characters"));
        }
        if !key.fits(&message.base(&input)?, &signature_of(message, &label)?) {
            return Err(SignatureError::Wrong);
        }
        let body = match message.text_header(CONTENT_DIGEST)? {
            Some(header) => Some(Expected::parse(&header)?),
            None => None,
        };
        Ok(Verified {
            key_id: Arc::clone(key.id()),
            nonce: nonce.to_owned(),
            body,
        })
    }

    /// The first signature by a key that is known here. Proxies may have added others.
    fn chosen(&self, message: &Message<'_>) -> Result<(&VerifyingKey, String, Input), SignatureError> {
        let header = message
            .text_header(SIGNATURE_INPUT)?
            .ok_or(SignatureError::Missing)?;
        let inputs = inputs(&header).map_err(SignatureError::Malformed)?;
        inputs
            .into_iter()
            .find_map(|(label, input)| {
                let id = input.text("keyid")?;
                let key = self.keys.iter().find(|key| &**key.id() == id)?;
                Some((key, label, input))
            })
            .ok_or(SignatureError::UnknownKey)
    }
}

impl Verified {
    /// Whether `body` is the one that was signed; without a signed digest, whether it is empty.
    ///
    /// # Errors
    /// It is another one.
    pub fn check_body(&self, body: &[u8]) -> Result<(), SignatureError> {
        let mut digest = self.body_digest();
        digest.update(body)?;
        digest.finish()
    }

    /// The same for a body that comes in pieces.
    pub fn body_digest(&self) -> BodyDigest {
        BodyDigest::new(self.body.clone())
    }

    /// How long the nonce has to be remembered, from now on: until the signature has expired wherever it is presented.
    pub const NONCE_SECONDS: u64 = MAX_AGE_SECONDS + CLOCK_SKEW_SECONDS;
}

fn signature_of(message: &Message<'_>, label: &str) -> Result<Vec<u8>, SignatureError> {
    let header = message.text_header(SIGNATURE)?.ok_or(SignatureError::Missing)?;
    let signatures = byte_sequences(&header).map_err(SignatureError::Malformed)?;
    let found = signatures.into_iter().find(|(known, _)| known == label);
    Ok(found.ok_or(SignatureError::Missing)?.1)
}

/// Where the request has a body's headers, they are part of it: otherwise they could be swapped or added.
fn covers_enough(message: &Message<'_>, input: &Input) -> Result<(), SignatureError> {
    let of_body = [CONTENT_DIGEST, "content-type"]
        .into_iter()
        .filter(|name| message.headers.contains_key(*name));
    for name in DERIVED.into_iter().chain(of_body) {
        if !input.components.iter().any(|component| component == name) {
            return Err(SignatureError::NotCovered(name));
        }
    }
    Ok(())
}

fn in_time(input: &Input, now: u64) -> Result<(), SignatureError> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let created = input
        .integer("created")
        .ok_or(SignatureError::NoParameter("created"))?;
    if created > now.saturating_add_unsigned(CLOCK_SKEW_SECONDS) {
        return Err(SignatureError::FromTheFuture);
    }
    let expires = input.integer("expires").unwrap_or(i64::MAX);
    if now >= created.saturating_add_unsigned(MAX_AGE_SECONDS).min(expires) {
        return Err(SignatureError::Expired);
    }
    Ok(())
}
