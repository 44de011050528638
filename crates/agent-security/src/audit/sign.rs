//! The key that checkpoints are signed with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{AuditError, AuditEvent, Head};
use crate::private_file::{self, Readers};

/// The file with the key: base64 of PKCS #8, for its owner alone.
const KEY: &str = "key";

/// A key has 83 bytes, 112 characters.
const MAX_KEY: usize = 512;

pub(super) struct Signer {
    key: Ed25519KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// The folder's key; made where there is none. To be called with the folder's lock held.
    pub(super) fn of(folder: &Path) -> Result<Self, AuditError> {
        let path = folder.join(KEY);
        let damaged = |what: String| AuditError::Damaged {
            path: path.clone(),
            what,
        };
        let kept =
            private_file::read(&path, MAX_KEY, Readers::Owner).map_err(|error| damaged(error.to_string()))?;
        let text = match kept {
            Some(kept) => kept,
            None => {
                let made = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
                    .map_err(|_| damaged("no random numbers for a new key".to_owned()))?;
                let text = STANDARD.encode(made.as_ref());
                write(&path, &text).map_err(|source| AuditError::Io {
                    doing: "write",
                    path: path.clone(),
                    source,
                })?;
                text.into()
            }
        };
        let der = STANDARD
            .decode(text.expose())
            .map_err(|_| damaged("it is not a key".to_owned()))?;
        let key = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| damaged("it is not a key".to_owned()))?;
        Ok(Signer { key })
    }

    pub(super) fn public(&self) -> String {
        STANDARD.encode(self.key.public_key().as_ref())
    }

    pub(super) fn checkpoint(&self, head: &Head) -> AuditEvent {
        AuditEvent::Checkpoint {
            key: self.public(),
            signature: STANDARD.encode(self.key.sign(&signed(head)).as_ref()),
        }
    }
}

/// Whether the holder of `key` signed this head.
pub(super) fn is_signed(head: &Head, key: &str, signature: &str) -> bool {
    let (Ok(key), Ok(signature)) = (STANDARD.decode(key), STANDARD.decode(signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&signed(head), &signature)
        .is_ok()
}

fn signed(head: &Head) -> Vec<u8> {
    format!("claude-agent audit {} {}", head.seq, head.hash).into_bytes()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
