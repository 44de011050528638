//! `content-digest` (RFC 9530): the body, in what is signed.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;

use super::SignatureError;
use super::fields::byte_sequences;

/// The one algorithm that is made and looked at; others in the header are passed over.
const ALGORITHM: &str = "sha-256";

/// The value of `content-digest` for a body.
pub fn content_digest(body: &[u8]) -> HeaderValue {
    let sum = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, body));
    // Letters of base64 and ASCII around them.
    HeaderValue::try_from(format!("{ALGORITHM}=:{sum}:")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The digest that a body must have.
#[derive(Clone, Debug)]
pub(super) struct Expected(Vec<u8>);

impl Expected {
    pub(super) fn parse(header: &str) -> Result<Self, SignatureError> {
        let digests = byte_sequences(header).map_err(SignatureError::Malformed)?;
        let ours = digests.into_iter().find(|(algorithm, _)| algorithm == ALGORITHM);
        match ours {
            Some((_, sum)) if sum.len() == digest::SHA256_OUTPUT_LEN => Ok(Self(sum)),
            _ => Err(SignatureError::Malformed("content-digest has no sha-256")),
        }
    }
}

/// Digests a body piece by piece, for one that isn't held in memory as a whole.
#[derive(Clone)]
pub struct BodyDigest {
    context: digest::Context,
    expected: Option<Expected>,
}

impl BodyDigest {
    pub(super) fn new(expected: Option<Expected>) -> Self {
        Self {
            context: digest::Context::new(&digest::SHA256),
            expected,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// There was to be no body.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), SignatureError> {
        if self.expected.is_none() && !piece.is_empty() {
            return Err(SignatureError::NotCovered("content-digest"));
        }
        self.context.update(piece);
        Ok(())
    }

    /// Whether the body was the one that was signed.
    ///
    /// # Errors
    /// It was not.
    pub fn finish(self) -> Result<(), SignatureError> {
        let Some(Expected(expected)) = self.expected else {
            return Ok(());
        };
        let sum = self.context.finish();
        constant_time::verify_slices_are_equal(sum.as_ref(), &expected).map_err(|_| SignatureError::WrongBody)
    }
}

impl std::fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyDigest")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
