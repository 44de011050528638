//! Stands where `agent_security::token::Credentials` will: the same calls.

use agent_config::Secret;
use std::sync::Arc;

/// Who may use a server.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    known: Vec<Credential>,
}

/// One who may use a server.
#[derive(Clone, Debug)]
pub struct Credential {
    id: Arc<str>,
    token: Secret,
}

impl Credential {
    /// Its name; not secret.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl Credentials {
    /// Nobody may.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, id: &str, token: Secret) {
        self.known.push(Credential { id: id.into(), token });
    }

    /// Whose token `presented` is.
    pub fn find(&self, presented: &[u8]) -> Option<&Credential> {
        self.known.iter().fold(None, |found, known| {
            let token = known.token.expose().as_bytes();
            let same = token.len() == presented.len()
                && token.iter().zip(presented).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0;
            if same { Some(known) } else { found }
        })
    }

    /// Whether nobody may use the server.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
