//! Bearer tokens of our own servers: made once, kept in a file that only its owner reads, compared in constant time.
//!
//! A [`Token`] is the secret itself, for the program that keeps its file and for commands that present it.
//! [`Credentials`] is what a server holds: digests only, so that nothing it prints or dumps opens a door.

mod credentials;
mod file;

pub use crate::private_file::PrivateFileError;
pub use credentials::{Credential, Credentials, CredentialsFull, MAX_CREDENTIALS};
pub use file::{Kept, TokenFileError, load, load_or_create};

use std::fmt;

use agent_config::Secret;
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// What generated tokens begin with, so that scanners and [`redact`](crate::redact) know one when they see it.
pub const PREFIX: &str = "cdagent_";

/// Random bytes in a generated token: twice what an attacker could ever search.
const RANDOM_BYTES: usize = 32;

/// The shortest token accepted from a file, in bytes. Written by hand or by another program it may have any form, but 22 characters
/// are what 128 random bits need.
pub const MIN_TOKEN_BYTES: usize = 22;

/// The longest token accepted, in bytes. Signed tokens of other systems stay below it; what is longer isn't even hashed.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// A secret that whoever presents it is served for.
#[derive(Clone)]
pub struct Token {
    text: Secret,
    digest: Digest,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Shorter than [`MIN_TOKEN_BYTES`] or longer than [`MAX_TOKEN_BYTES`].
    #[error("a token has {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} characters; this has {0}")]
    Length(usize),
    /// Something else than visible ASCII characters: it would not survive a header.
    #[error("a token consists of visible ASCII characters without blanks")]
    Characters,
}

/// The system gave no random bytes. It is broken or hardly booted; nothing secret can be made on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes, so no token can be made")]
pub struct NoRandomness;

impl Token {
    /// A new one, from the system's random source.
    ///
    /// # Errors
    /// The source is broken.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; RANDOM_BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        let mut text = PREFIX.to_owned();
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        Ok(Self::of(Secret::from(text)))
    }

    /// A token made elsewhere.
    ///
    /// # Errors
    /// The text can't be one.
    pub fn parse(text: Secret) -> Result<Self, TokenError> {
        let bytes = text.expose().as_bytes();
        if !(MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&bytes.len()) {
            return Err(TokenError::Length(bytes.len()));
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Characters);
        }
        Ok(Self::of(text))
    }

    fn of(text: Secret) -> Self {
        let digest = Digest::of(text.expose().as_bytes());
        Self { text, digest }
    }

    /// Whether `presented` is this token. Takes as long for a near miss as for nonsense.
    pub fn matches(&self, presented: &[u8]) -> bool {
        presented.len() <= MAX_TOKEN_BYTES && self.digest == Digest::of(presented)
    }

    /// The text, to present it or to show it once to its owner.
    pub fn secret(&self) -> &Secret {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// SHA-256 of a token. Comparing digests tells a client neither how long the token is nor how much of it was right.
#[derive(Clone, Copy)]
struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        let mut sum = [0; digest::SHA256_OUTPUT_LEN];
        sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(sum)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_tokens_differ_match_themselves_and_are_never_printed() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        let text = one.secret().expose().to_owned();
        assert!(
            text.starts_with(PREFIX) && text.len() == PREFIX.len() + 43,
            "{text}"
        );
        assert!(one.matches(text.as_bytes()));
        assert!(!other.matches(text.as_bytes()));
        assert!(
            Token::parse(text.as_str().into())
                .unwrap()
                .matches(text.as_bytes())
        );
        let printed = format!("{one:?} {:?}", one.secret());
        assert!(!printed.contains(&text[PREFIX.len()..]), "{printed}");
    }

    #[test]
    fn what_is_nearly_the_token_is_not_it() {
        let token = Token::generate().unwrap();
        let text = token.secret().expose().to_owned();
        let wrong = [
            String::new(),
            text[..text.len() - 1].to_owned(),
            format!("{text}="),
            format!(" {text}"),
            text.to_ascii_uppercase(),
            format!("{text}\0"),
            text.repeat(MAX_TOKEN_BYTES / text.len() + 1),
        ];
        for presented in wrong {
            assert!(!token.matches(presented.as_bytes()), "{presented:?}");
        }
    }

    #[test]
    fn a_text_that_cant_be_a_token_is_refused() {
        let check = |text: &str| Token::parse(text.into()).map(|_| ()).unwrap_err();
        assert_eq!(check(""), TokenError::Length(0));
        assert_eq!(
            check(&"x".repeat(MIN_TOKEN_BYTES - 1)),
            TokenError::Length(MIN_TOKEN_BYTES - 1)
        );
        assert_eq!(
            check(&"x".repeat(MAX_TOKEN_BYTES + 1)),
            TokenError::Length(MAX_TOKEN_BYTES + 1)
        );
        for bad in [
            "with a blank in its middle",
            "with\nline-ends-inside-of-it",
            "mit-Umlauten-äöü-darinnen",
        ] {
            assert_eq!(check(bad), TokenError::Characters, "{bad}");
        }
        assert!(Token::parse("x".repeat(MAX_TOKEN_BYTES).as_str().into()).is_ok());
    }

    #[test]
    fn redaction_knows_a_token_by_its_prefix() {
        let token = Token::generate().unwrap();
        let line = format!("presented {} to the server", token.secret().expose());
        let redacted = crate::redact::Redactor::default().redact(&line).into_owned();
        assert!(!redacted.contains(token.secret().expose()), "{redacted}");
    }
}
