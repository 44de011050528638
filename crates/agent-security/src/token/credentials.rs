use std::fmt;
use std::sync::Arc;

use super::{Digest, MAX_TOKEN_BYTES, Token};

/// The most credentials of one server. Each is compared with every request; a machine's own programs and an operator's few
/// clients are far fewer, and a service with more users needs an identity provider.
pub const MAX_CREDENTIALS: usize = 64;

/// Who may use a server: names with the digests of their tokens.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    known: Vec<Credential>,
}

/// One who may use a server.
#[derive(Clone)]
pub struct Credential {
    id: Arc<str>,
    digest: Digest,
}

/// There are [`MAX_CREDENTIALS`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server knows at most {MAX_CREDENTIALS} credentials; remove one that is no longer used")]
pub struct CredentialsFull;

impl Credentials {
    /// Nobody may.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one. `id` is no secret: rate limits, logs and the audit use it. One of the same id is replaced.
    ///
    /// # Errors
    /// There are too many.
    pub fn add(&mut self, id: &str, token: &Token) -> Result<(), CredentialsFull> {
        let credential = Credential {
            id: id.into(),
            digest: token.digest,
        };
        if let Some(known) = self.known.iter_mut().find(|known| &*known.id == id) {
            *known = credential;
            return Ok(());
        }
        if self.known.len() >= MAX_CREDENTIALS {
            return Err(CredentialsFull);
        }
        self.known.push(credential);
        Ok(())
    }

    /// Whose token `presented` is. Every credential is compared, whichever is found, so that the time tells nothing.
    pub fn find(&self, presented: &[u8]) -> Option<&Credential> {
        if presented.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let digest = Digest::of(presented);
        self.known.iter().fold(None, |found, known| {
            if known.digest == digest {
                Some(known)
            } else {
                found
            }
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody may use the server.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl Credential {
    /// Its name; not secret.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_finds_its_own_name_and_no_other_text_finds_any() {
        let (one, two) = (Token::generate().unwrap(), Token::generate().unwrap());
        let mut known = Credentials::none();
        assert!(known.is_empty() && known.find(b"").is_none());
        known.add("local", &one).unwrap();
        known.add("ci", &two).unwrap();
        let id = |token: &Token| {
            known
                .find(token.secret().expose().as_bytes())
                .map(|found| found.id().to_string())
        };
        assert_eq!(id(&one).as_deref(), Some("local"));
        assert_eq!(id(&two).as_deref(), Some("ci"));
        assert_eq!(id(&Token::generate().unwrap()), None);
        assert!(known.find(b"").is_none());
        assert!(known.find(&[b'x'; MAX_TOKEN_BYTES + 1]).is_none());
    }

    #[test]
    fn a_new_token_of_a_known_name_ends_the_old_one() {
        let (old, new) = (Token::generate().unwrap(), Token::generate().unwrap());
        let mut known = Credentials::none();
        known.add("local", &old).unwrap();
        known.add("local", &new).unwrap();
        assert_eq!(known.len(), 1);
        assert!(known.find(old.secret().expose().as_bytes()).is_none());
        assert!(known.find(new.secret().expose().as_bytes()).is_some());
    }

    #[test]
    fn credentials_are_bounded_and_show_names_only() {
        let token = Token::generate().unwrap();
        let mut known = Credentials::none();
        for number in 0..MAX_CREDENTIALS {
            known.add(&format!("client-{number}"), &token).unwrap();
        }
        assert_eq!(known.add("one more", &token), Err(CredentialsFull));
        let printed = format!("{known:?}");
        assert!(
            printed.contains("client-63") && !printed.contains(token.secret().expose()),
            "{printed}"
        );
    }
}
