//! Taking secrets out of text before it is shown, logged or stored.
//!
//! Two passes: first the secrets that the program itself holds, in every spelling in which they may turn up in
//! text; then what looks like a secret by its shape. The second is cautious, for it also runs over source code
//! that a model reads: `password = read_password()` is left alone. Both take time in proportion to the text.

mod patterns;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use agent_config::Secret;
use aho_corasick::AhoCorasick;
use arc_swap::ArcSwapOption;

/// What stands where a secret was.
pub const REPLACEMENT: &str = "[redacted]";

/// The shortest text taken for a known secret, in bytes. Anything shorter is part of ordinary words, and
/// taking it out everywhere would say what it is.
pub const MIN_SECRET_BYTES: usize = 6;

/// How many secrets are known at once: a ring of keys holds far fewer, and those that were rotated away stay known for as
/// long as the process runs. Beyond it the shapes of secrets are still taken out.
pub const MAX_SECRETS: usize = 1024;

/// Takes known and likely secrets out of text. Clones are cheap, and know what any of them is told: a key that is added while
/// the program runs is taken out everywhere from then on.
///
/// It keeps its own copy of the secrets for as long as it lives, and never prints them.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    /// What is looked for. Every redaction reads it; it changes a few times in the life of a process.
    automaton: ArcSwapOption<AhoCorasick>,
    secrets: Mutex<Vec<Secret>>,
}

impl Redactor {
    /// A redactor that knows these secrets. Those shorter than [`MIN_SECRET_BYTES`] are left out.
    pub fn new(secrets: Vec<Secret>) -> Self {
        let redactor = Self::default();
        redactor.learn(secrets);
        redactor
    }

    /// Takes these secrets out, too, from now on: in this redactor and in all its clones. Nothing is ever forgotten, for a
    /// key that was replaced may still turn up. Beyond [`MAX_SECRETS`] the oldest are no longer looked for.
    pub fn learn(&self, more: impl IntoIterator<Item = Secret>) {
        let mut secrets = self.known.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let before = secrets.len();
        for secret in more {
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
        }
        if secrets.len() == before {
            return;
        }
        let excess = secrets.len().saturating_sub(MAX_SECRETS);
        secrets.drain(..excess);
        let mut spellings: Vec<String> = secrets
            .iter()
            .flat_map(|secret| spellings(secret.expose()))
            .collect();
        spellings.sort_unstable();
        spellings.dedup();
        if spellings.is_empty() {
            return;
        }
        // Building fails only for more patterns than fit 32 bits, far more than memory holds.
        let automaton = AhoCorasick::new(&spellings).expect("secrets number less than two thousand million");
        self.known.automaton.store(Some(Arc::new(automaton)));
    }

    /// The text without secrets; borrowed when there is none in it. Redacting twice changes nothing more.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let automaton = self.known.automaton.load();
        let known = automaton
            .as_ref()
            .map(|known| overlapping(known, text))
            .unwrap_or_default();
        if known.is_empty() {
            return match patterns::find(text) {
                found if found.is_empty() => Cow::Borrowed(text),
                found => Cow::Owned(replaced(text, &found)),
            };
        }
        let text = replaced(text, &known);
        let found = patterns::find(&text);
        Cow::Owned(if found.is_empty() {
            text
        } else {
            replaced(&text, &found)
        })
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// Every place where a known secret stands, overlapping ones joined.
fn overlapping(known: &AhoCorasick, text: &str) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = Vec::new();
    // Matches come in the order of their ends, so a longer one may reach back over several before it.
    for found in known.find_overlapping_iter(text) {
        let mut start = found.start();
        while let Some(last) = places.pop_if(|last| last.end >= found.start()) {
            start = start.min(last.start);
        }
        places.push(start..found.end());
    }
    places
}

fn replaced(text: &str, places: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for place in places {
        out.push_str(&text[done..place.start]);
        out.push_str(REPLACEMENT);
        done = place.end;
    }
    out.push_str(&text[done..]);
    out
}

/// A secret as it may turn up: itself, in JSON (also in JSON inside JSON), in a debug print, in a URL.
fn spellings(secret: &str) -> Vec<String> {
    let secret = secret.trim();
    // A secret that is part of the replacement could never be taken out.
    if secret.len() < MIN_SECRET_BYTES || REPLACEMENT.contains(secret) {
        return Vec::new();
    }
    let json = json_escaped(secret, false);
    let ascii = json_escaped(secret, true);
    vec![
        json_escaped(&json, false),
        json_escaped(&ascii, false),
        json.replace('/', "\\/"),
        json,
        ascii,
        secret.escape_debug().to_string(),
        percent_encoded(secret, b"-._~", false),
        percent_encoded(secret, b"-._~", true),
        // What is left alone differs between encoders.
        percent_encoded(secret, b"-._~!*'()", false),
        percent_encoded(secret, b"-._*", false).replace("%20", "+"),
        secret.to_owned(),
    ]
}

fn json_escaped(text: &str, ascii_only: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() || (ascii_only && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

fn percent_encoded(text: &str, kept: &[u8], lower_case: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else if lower_case {
            out.push_str(&format!("%{byte:02x}"));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
