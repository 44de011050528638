//! One line of the log, and the hash that chains it to the one before.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::AuditEvent;

/// The longest line that is read: a dozen times what events can hold.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// What the first line of all names as the one before it.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Before the hash, and after it.
const SEAL: &str = ",\"hash\":\"";
const END: &str = "\"}";
const HASH_CHARS: usize = 64;

/// A line as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number; the first is 1, and none is left out.
    pub seq: u64,
    /// When it happened, by the machine's clock.
    pub time: DateTime<Utc>,
    /// What happened.
    pub event: AuditEvent,
    /// The hash of the line before.
    pub prev: String,
}

/// The last line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Head {
            seq: 0,
            hash: GENESIS.to_owned(),
        }
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NUMBER:HASH, as `claude-agent audit verify` prints it");
        let (seq, hash) = text.trim().split_once(':').ok_or_else(wrong)?;
        let seq = seq.parse().map_err(|_| wrong())?;
        let is_hash = hash.len() == HASH_CHARS
            && hash
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let hash = is_hash.then(|| hash.to_owned()).ok_or_else(wrong)?;
        Ok(Head { seq, hash })
    }
}

impl Record {
    /// The line, with its end, and the head that it makes.
    pub(super) fn seal(&self) -> Result<(String, Head), serde_json::Error> {
        let mut line = serde_json::to_string(self)?;
        line.pop();
        let hash = hash(line.as_bytes());
        line.push_str(SEAL);
        line.push_str(&hash);
        line.push_str(END);
        line.push('\n');
        let head = Head { seq: self.seq, hash };
        Ok((line, head))
    }

    /// Reads a line without its end, and checks its own hash. What it follows is for the caller to check.
    pub(super) fn open(line: &[u8]) -> Result<(Self, Head), String> {
        let sealed = || "it does not end with its hash".to_owned();
        let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
        let body = text
            .len()
            .checked_sub(SEAL.len() + HASH_CHARS + END.len())
            .ok_or_else(sealed)?;
        let (body, seal) = text.split_at_checked(body).ok_or_else(sealed)?;
        let told = seal
            .strip_prefix(SEAL)
            .and_then(|rest| rest.strip_suffix(END))
            .ok_or_else(sealed)?;
        if hash(body.as_bytes()) != told {
            return Err("its hash is not that of its text".to_owned());
        }
        let record: Record = serde_json::from_str(&format!("{body}}}"))
            .map_err(|error| format!("it can't be read: {error}"))?;
        let head = Head {
            seq: record.seq,
            hash: told.to_owned(),
        };
        Ok((record, head))
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
