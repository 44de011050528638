use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::private_file::{self, PrivateFileError, Readers};

/// The shortest shared secret, in bytes: as long as what the algorithm makes of it (RFC 2104, section 3).
const MIN_SECRET_BYTES: usize = 32;

/// The longest key file, in bytes. A public key in PEM has 113.
const MAX_KEY_FILE_BYTES: usize = 4096;

/// The longest name of a key, in bytes; it is compared with what clients send.
const MAX_ID_BYTES: usize = 128;

/// What comes before the 32 bytes of an Ed25519 public key in its DER form (RFC 8410).
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
];

const ED25519_KEY_BYTES: usize = 32;

/// How a request is signed. Named as in `alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One secret that both sides know.
    HmacSha256,
    /// The client keeps a private key, the server knows the public one.
    Ed25519,
}

impl Algorithm {
    /// Its name in signatures.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::Ed25519 => "ed25519",
        }
    }
}

/// Why something is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read, or isn't safe.
    #[error("the key can't be taken from its file: {0}")]
    File(#[from] PrivateFileError),
    /// There is no file.
    #[error("there is no key file {}", .0.display())]
    NoFile(PathBuf),
    /// The secret is too short to keep anyone out.
    #[error(
        "a shared secret has at least {MIN_SECRET_BYTES} bytes; this has {0}. Make one with `openssl rand -hex 32`"
    )]
    Short(usize),
    /// The text is no key of that kind.
    #[error("this is no {wanted}")]
    Malformed {
        /// What it should be.
        wanted: &'static str,
    },
    /// The name is empty, too long, or has characters that can't stand in a signature.
    #[error("a key's name has 1 to {MAX_ID_BYTES} visible ASCII characters")]
    Id,
}

/// What checks signatures of one client.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Arc<str>,
    kind: Verify,
}

#[derive(Clone)]
enum Verify {
    HmacSha256(Box<hmac::Key>),
    Ed25519(UnparsedPublicKey<[u8; ED25519_KEY_BYTES]>),
}

impl VerifyingKey {
    /// A secret that client and server share.
    ///
    /// # Errors
    /// The secret is too short, or the name unusable.
    pub fn hmac_sha256(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            id: checked_id(id)?,
            kind: Verify::HmacSha256(hmac_key(secret)?),
        })
    }

    /// The public key of a client.
    ///
    /// # Errors
    /// The name is unusable.
    pub fn ed25519(id: &str, public: [u8; ED25519_KEY_BYTES]) -> Result<Self, KeyError> {
        Ok(Self {
            id: checked_id(id)?,
            kind: Verify::Ed25519(UnparsedPublicKey::new(&ED25519, public)),
        })
    }

    /// A key from a file: the shared secret as it is typed, or the public key in PEM.
    ///
    /// # Errors
    /// The file can't be read, others could change it (or read a secret), or it holds no such key.
    pub fn from_file(id: &str, algorithm: Algorithm, path: &Path) -> Result<Self, KeyError> {
        let readers = match algorithm {
            Algorithm::HmacSha256 => Readers::Owner,
            Algorithm::Ed25519 => Readers::Everyone,
        };
        let text = private_file::read(path, MAX_KEY_FILE_BYTES, readers)?;
        let text = text.ok_or_else(|| KeyError::NoFile(path.to_owned()))?;
        match algorithm {
            Algorithm::HmacSha256 => Self::hmac_sha256(id, text.expose().as_bytes()),
            Algorithm::Ed25519 => Self::ed25519(id, public_from_pem(text.expose())?),
        }
    }

    /// The name that clients give as `keyid`.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// How signatures by it are made.
    pub fn algorithm(&self) -> Algorithm {
        match self.kind {
            Verify::HmacSha256(_) => Algorithm::HmacSha256,
            Verify::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// In constant time for the secret kind.
    pub(super) fn fits(&self, base: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Verify::HmacSha256(key) => hmac::verify(key, base, signature).is_ok(),
            Verify::Ed25519(key) => key.verify(base, signature).is_ok(),
        }
    }
}

/// What a client signs with.
pub struct SigningKey {
    id: Arc<str>,
    kind: Sign,
}

enum Sign {
    HmacSha256(Box<hmac::Key>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// A secret that client and server share.
    ///
    /// # Errors
    /// The secret is too short, or the name unusable.
    pub fn hmac_sha256(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            id: checked_id(id)?,
            kind: Sign::HmacSha256(hmac_key(secret)?),
        })
    }

    /// The client's private key, by its 32-byte seed.
    ///
    /// # Errors
    /// The name is unusable, or the seed is not 32 bytes.
    pub fn ed25519(id: &str, seed: &[u8]) -> Result<Self, KeyError> {
        let wanted = "seed of an Ed25519 key (32 bytes)";
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Malformed { wanted })?;
        Ok(Self {
            id: checked_id(id)?,
            kind: Sign::Ed25519(Box::new(pair)),
        })
    }

    /// What the server has to know.
    pub fn verifying_key(&self) -> VerifyingKey {
        let kind = match &self.kind {
            Sign::HmacSha256(key) => Verify::HmacSha256(key.clone()),
            Sign::Ed25519(pair) => {
                let mut public = [0; ED25519_KEY_BYTES];
                public.copy_from_slice(pair.public_key().as_ref());
                Verify::Ed25519(UnparsedPublicKey::new(&ED25519, public))
            }
        };
        VerifyingKey {
            id: Arc::clone(&self.id),
            kind,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn signature(&self, base: &[u8]) -> Vec<u8> {
        match &self.kind {
            Sign::HmacSha256(key) => hmac::sign(key, base).as_ref().to_vec(),
            Sign::Ed25519(pair) => pair.sign(base).as_ref().to_vec(),
        }
    }
}

fn hmac_key(secret: &[u8]) -> Result<Box<hmac::Key>, KeyError> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err(KeyError::Short(secret.len()));
    }
    Ok(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
}

fn checked_id(id: &str) -> Result<Arc<str>, KeyError> {
    let good = (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(id.into()) } else { Err(KeyError::Id) }
}

fn public_from_pem(text: &str) -> Result<[u8; ED25519_KEY_BYTES], KeyError> {
    let der = text
        .trim()
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
        .map(|body| body.split_ascii_whitespace().collect::<String>())
        .and_then(|body| BASE64_STANDARD.decode(body).ok());
    der.and_then(|der| der.strip_prefix(&ED25519_SPKI)?.try_into().ok())
        .ok_or(KeyError::Malformed {
            wanted: "Ed25519 public key in PEM (`-----BEGIN PUBLIC KEY-----`)",
        })
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({}, {})", self.id, self.algorithm().name())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}
