//! Signed requests to our own servers: RFC 9421 (HTTP Message Signatures) with RFC 9530 (`content-digest`).
//!
//! A signature covers `@method`, `@authority`, `@path` and `@query`, the body by its digest, and the type of the body, and
//! carries when it was made, a nonce and the name of the key. [`Verifier`] checks one; [`NonceCache`] lets each pass once; [`sign`] makes
//! them. Algorithms: `hmac-sha256` and `ed25519`. Nothing is negotiated: the key says which it is.
//!
//! ```
//! use agent_security::signature::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = b"a shared secret of thirty-two bytes";
//! let body = br#"{"prompt":"hello"}"#;
//! let mut request = http::Request::post("http://127.0.0.1:8642/api/v1/sessions")
//!     .header("content-type", "application/json")
//!     .body(())?;
//! sign(&mut request, body, &SigningKey::hmac_sha256("ci", secret)?, &Scheme::HTTP, 1_795_000_000)?;
//!
//! // The server. `now` is in seconds since 1970.
//! let verifier = Verifier::new([VerifyingKey::hmac_sha256("ci", secret)?]);
//! let nonces = NonceCache::default();
//! let (parts, ()) = request.into_parts();
//! let verified = verifier.verify(&Message::of(&parts, &Scheme::HTTP)?, 1_795_000_003)?;
//! verified.check_body(body)?;
//! nonces.admit(&verified, 1_795_000_003)?;
//! assert_eq!(nonces.admit(&verified, 1_795_000_003), Err(SignatureError::Replayed));
//! # Ok(())
//! # }
//! ```

mod base;
mod digest;
mod error;
mod fields;
mod key;
mod nonce;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

pub use base::Message;
pub use digest::{BodyDigest, content_digest};
pub use error::SignatureError;
pub use http::uri::Scheme;
pub use key::{Algorithm, KeyError, SigningKey, VerifyingKey};
pub use nonce::{DEFAULT_NONCES_PER_KEY, NonceCache};
pub use sign::{SignError, sign};
pub use verify::{CLOCK_SKEW_SECONDS, MAX_AGE_SECONDS, Verified, Verifier};

/// Parses and rebuilds hostile header values; what the fuzz target and the property tests call.
#[doc(hidden)]
pub fn fuzz(header: &str) {
    fields::check_round_trip(header);
}
