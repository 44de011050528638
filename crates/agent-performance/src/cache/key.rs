use std::fmt;

use sha2::{Digest, Sha256};

/// Separates these hashes from all others, and changes when what is hashed does.
const KEY_DOMAIN: &[u8] = b"agent response cache key 1";
const TENANT_DOMAIN: &[u8] = b"agent response cache tenant 1";

/// On whose behalf a request is made. Holds a hash, never the credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant([u8; 32]);

impl Tenant {
    /// The holder of `credential`: the key or token as it is sent.
    pub fn of_credential(credential: &[u8]) -> Self {
        let mut hash = Parts::new(TENANT_DOMAIN);
        hash.part(credential);
        Tenant(hash.finish())
    }
}

impl fmt::Debug for Tenant {
    /// Enough to tell two apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", hex(&self.0[..4]))
    }
}

/// Everything about a request that can change its answer.
///
/// All fields are public and none has a default, so that none is forgotten. Whatever else selects the answer goes into
/// `selectors`.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// Whose credential it carries.
    pub tenant: Tenant,
    /// The HTTP method.
    pub method: &'a str,
    /// The whole address: origin, path and query.
    pub endpoint: &'a str,
    /// The version of the API asked for.
    pub api_version: &'a str,
    /// Each line of the header that switches features on. One line `a, b` is the same as two lines `a` and `b`; their
    /// order counts.
    pub betas: &'a [&'a str],
    /// Other headers that select the answer (language, encoding, workspace), name and value, in an order of the
    /// caller's that is always the same. Names are compared without regard to case.
    pub selectors: &'a [(&'a str, &'a str)],
    /// The body, byte for byte. It is not put in any canonical form: the order of members and the spelling of numbers
    /// may reach the model, and one program spells the same request the same way each time.
    pub body: &'a [u8],
}

impl KeyParts<'_> {
    /// The key. Equal keys mean equal parts, as surely as SHA-256 has no collisions.
    pub fn key(&self) -> CacheKey {
        let mut hash = Parts::new(KEY_DOMAIN);
        hash.part(&self.tenant.0);
        hash.part(self.method.as_bytes());
        hash.part(self.endpoint.as_bytes());
        hash.part(self.api_version.as_bytes());
        let betas = self.betas.iter().flat_map(|line| line.split(','));
        let betas: Vec<&str> = betas.map(str::trim).filter(|beta| !beta.is_empty()).collect();
        hash.number(betas.len());
        for beta in betas {
            hash.part(beta.as_bytes());
        }
        hash.number(self.selectors.len());
        for (name, value) in self.selectors {
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                hash.part(name.to_ascii_lowercase().as_bytes());
            } else {
                hash.part(name.as_bytes());
            }
            hash.part(value.as_bytes());
        }
        hash.part(self.body);
        CacheKey(hex(&hash.finish()))
    }
}

/// The name of a response: 64 hexadecimal digits. Says nothing of what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey(String);

impl CacheKey {
    /// As the cache takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for CacheKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<CacheKey> for String {
    fn from(key: CacheKey) -> String {
        key.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Each part with its length before it, so that no byte can pass for another part's.
struct Parts(Sha256);

impl Parts {
    fn new(domain: &[u8]) -> Self {
        let mut parts = Parts(Sha256::new());
        parts.part(domain);
        parts
    }

    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
