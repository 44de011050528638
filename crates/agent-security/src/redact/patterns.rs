//! What looks like a secret by its shape.
//!
//! One automaton finds where something may begin (a prefix of a token, a label, `://`); a few lines of code for
//! each kind then decide and find the end. What is looked at before the decision is bounded, and what is
//! looked at after it is taken out and not looked at again, so the whole is linear in the text.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, Input, MatchKind};

use super::REPLACEMENT;

/// How many bytes are looked at to decide whether a token is one. Tokens of every service listed show a digit
/// within it.
const DECISION_BYTES: usize = 64;

/// How far the dot of a signed token (JWT) is looked for: its header is short.
const JWT_HEADER_BYTES: usize = 512;

/// How long the user and password of a URL may be.
const AUTHORITY_BYTES: usize = 1024;

/// How long the first line of a key block may be.
const KEY_HEADER_BYTES: usize = 64;

/// How many blanks or backslashes may stand between a label and its value.
const GAP_BYTES: usize = 8;

#[derive(Clone, Copy)]
enum Kind {
    /// A token known by its prefix: how many characters follow at least, and how cautious to be.
    Token { min: usize, caution: Caution },
    /// `eyJ….….…`.
    SignedToken,
    /// `Bearer …` anywhere.
    Bearer,
    /// `Authorization: scheme …`.
    Authorization,
    /// `x-api-key: …`.
    KeyHeader,
    /// `api_key = …`, `"password": "…"`.
    Assignment,
    /// `?token=…` in a URL.
    Query,
    /// `://user:password@`.
    Url,
    /// `-----BEGIN … PRIVATE KEY-----`.
    KeyBlock,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Caution {
    /// The prefix is found nowhere else.
    None,
    /// The prefix may end or begin an ordinary word: it must begin a word, and a digit must follow.
    Word,
}

const fn token(prefix: &'static str, min: usize) -> (&'static str, Kind) {
    (
        prefix,
        Kind::Token {
            min,
            caution: Caution::None,
        },
    )
}

const fn word(prefix: &'static str, min: usize) -> (&'static str, Kind) {
    (
        prefix,
        Kind::Token {
            min,
            caution: Caution::Word,
        },
    )
}

/// Where something may begin. Labels are found in any case; prefixes of tokens only as written.
const ANCHORS: &[(&str, Kind)] = &[
    token("sk-ant-", 8),
    token(crate::token::PREFIX, 20),
    word("sk-", 20),
    word("sk_live_", 16),
    word("sk_test_", 16),
    word("rk_live_", 16),
    token("ghp_", 20),
    token("gho_", 20),
    token("ghu_", 20),
    token("ghs_", 20),
    token("ghr_", 20),
    token("github_pat_", 20),
    token("glpat-", 16),
    token("whsec_", 16),
    token("xoxb-", 10),
    token("xoxp-", 10),
    token("xoxa-", 10),
    token("xoxr-", 10),
    token("xoxs-", 10),
    token("xapp-", 10),
    word("AKIA", 16),
    word("ASIA", 16),
    word("AIza", 30),
    word("ya29.", 20),
    word("npm_", 30),
    word("hf_", 30),
    word("pypi-", 40),
    token("dop_v1_", 40),
    word("SG.", 40),
    token("AGE-SECRET-KEY-1", 20),
    ("eyJ", Kind::SignedToken),
    ("bearer ", Kind::Bearer),
    ("authorization", Kind::Authorization),
    ("x-api-key", Kind::KeyHeader),
    ("x-goog-api-key", Kind::KeyHeader),
    ("x-amz-security-token", Kind::KeyHeader),
    ("x-auth-token", Kind::KeyHeader),
    ("private-token", Kind::KeyHeader),
    ("api_key", Kind::Assignment),
    ("api-key", Kind::Assignment),
    ("apikey", Kind::Assignment),
    ("secret_key", Kind::Assignment),
    ("secret-key", Kind::Assignment),
    ("secretkey", Kind::Assignment),
    ("secret_access_key", Kind::Assignment),
    ("secretaccesskey", Kind::Assignment),
    ("access_token", Kind::Assignment),
    ("accesstoken", Kind::Assignment),
    ("refresh_token", Kind::Assignment),
    ("refreshtoken", Kind::Assignment),
    ("auth_token", Kind::Assignment),
    ("authtoken", Kind::Assignment),
    ("session_token", Kind::Assignment),
    ("sessiontoken", Kind::Assignment),
    ("client_secret", Kind::Assignment),
    ("clientsecret", Kind::Assignment),
    ("password", Kind::Assignment),
    ("passwd", Kind::Assignment),
    ("?token=", Kind::Query),
    ("&token=", Kind::Query),
    ("?key=", Kind::Query),
    ("&key=", Kind::Query),
    ("?sig=", Kind::Query),
    ("&sig=", Kind::Query),
    ("x-amz-signature=", Kind::Query),
    ("://", Kind::Url),
    ("-----BEGIN ", Kind::KeyBlock),
];

static AUTOMATON: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(ANCHORS.iter().map(|(anchor, _)| anchor))
        .expect("the anchors are few and short")
});

/// The places of likely secrets, in order, none overlapping.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = AUTOMATON.find(Input::new(text).range(from..)) {
        let (anchor, kind) = ANCHORS[found.pattern().as_usize()];
        match secret(text, found.start(), anchor, kind) {
            Some(place) => {
                from = place.end.max(found.end());
                if &text[place.clone()] != REPLACEMENT {
                    places.push(place);
                }
            }
            // Another anchor may begin inside this one. Anchors begin with ASCII, so this is no part of a character.
            None => from = found.start() + 1,
        }
    }
    places
}

/// The secret that begins at or after an anchor, if it is one.
fn secret(text: &str, start: usize, anchor: &str, kind: Kind) -> Option<Range<usize>> {
    let after = start + anchor.len();
    match kind {
        Kind::Token { min, caution } => {
            let written_so = text[start..].starts_with(anchor);
            let cautious = caution == Caution::Word;
            if !written_so || (cautious && !begins_word(text, start)) {
                return None;
            }
            let decisive = run(text, after, min.max(DECISION_BYTES), in_token);
            let enough = decisive.len() >= min && (!cautious || has_digit(decisive));
            enough.then(|| start..after + run(text, after, usize::MAX, in_token).len())
        }
        Kind::SignedToken => {
            let header = run(text, after, JWT_HEADER_BYTES, in_token);
            let enough = text[start..].starts_with(anchor) && header.contains('.') && header.len() > 20;
            (enough && begins_word(text, start))
                .then(|| start..after + run(text, after, usize::MAX, in_token).len())
        }
        Kind::Bearer => {
            let value = skip(text, after, b" ");
            opaque(text, value, in_credential, 8, 24)
        }
        Kind::Authorization => authorization(text, after),
        Kind::KeyHeader => {
            let gap = separated(text, after)?;
            opaque(text, gap.value, in_credential, 8, 20)
        }
        Kind::Assignment => assignment(text, after),
        Kind::Query => opaque(text, after, in_credential, 8, 24),
        Kind::Url => userinfo(text, after),
        Kind::KeyBlock => key_block(text, start, after),
    }
}

/// `Authorization: Basic …`: the scheme stays, what follows goes. Without a scheme only an opaque value goes.
fn authorization(text: &str, after: usize) -> Option<Range<usize>> {
    let value = separated(text, after)?.value;
    let scheme = run(text, value, DECISION_BYTES, |b| {
        b.is_ascii_alphanumeric() || b == b'-'
    });
    let known = ["basic", "bearer", "token", "digest", "negotiate", "apikey", "key"];
    let end = value + scheme.len();
    if known.iter().any(|name| scheme.eq_ignore_ascii_case(name)) && text[end..].starts_with(' ') {
        return opaque(text, skip(text, end, b" "), in_credential, 6, 6);
    }
    opaque(text, value, in_credential, 16, 40)
}

/// A value given to a name. In JSON and the like (name and value in quotes) it may be short; elsewhere, where
/// it could be code, it must be long and must not go on like an expression.
fn assignment(text: &str, after: usize) -> Option<Range<usize>> {
    let gap = separated(text, after)?;
    let in_value: fn(u8) -> bool = if gap.quoted_value { in_quoted } else { in_bare };
    let min = if gap.quoted_name && gap.quoted_value {
        8
    } else {
        16
    };
    let decisive = run(text, gap.value, DECISION_BYTES, in_value);
    if decisive.len() < min || !has_digit(decisive) || !decisive.bytes().any(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let value = run(text, gap.value, usize::MAX, in_value);
    let end = gap.value + value.len();
    let goes_on = !gap.quoted_value && text[end..].starts_with(['(', '.', ':', '[', '!']);
    (!goes_on).then_some(gap.value..end)
}

/// The password of a URL, or its whole user part if that alone looks like a token.
fn userinfo(text: &str, after: usize) -> Option<Range<usize>> {
    let in_authority = |b: u8| b > b' ' && b != 0x7f && !b"/?#\"'<>`\\()".contains(&b);
    let authority = run(text, after, AUTHORITY_BYTES, in_authority);
    let (user, _host) = authority.rsplit_once('@')?;
    match user.split_once(':') {
        Some((name, password)) => {
            let placeholder = password.is_empty() || password.starts_with(['$', '{']);
            (!placeholder).then(|| after + name.len() + 1..after + user.len())
        }
        None => (user.len() >= 20 && has_digit(user)).then(|| after..after + user.len()),
    }
}

/// A private key from its first line to its last, or, if it is cut off, as far as it looks like one.
fn key_block(text: &str, start: usize, after: usize) -> Option<Range<usize>> {
    let header = run(text, after, KEY_HEADER_BYTES, |b| {
        b.is_ascii_alphanumeric() || b == b' '
    });
    let body = after + header.len();
    if !header.contains("PRIVATE KEY") || !text[body..].starts_with("-----") {
        return None;
    }
    let body = body + "-----".len();
    let mut end = body;
    for (at, byte) in text.bytes().enumerate().skip(body) {
        if !in_key_block(byte) {
            break;
        }
        end = at + 1;
        if byte == b'-' && text.as_bytes()[at..].starts_with(b"-----END ") {
            let label = at + "-----END ".len();
            let length = run(text, label, KEY_HEADER_BYTES, |b| {
                b.is_ascii_alphanumeric() || b == b' '
            })
            .len();
            let dashes = run(text, label + length, "-----".len(), |b| b == b'-').len();
            return Some(start..label + length + dashes);
        }
    }
    (end - body >= 16).then_some(start..end)
}

/// Where a value stands after its label.
struct Gap {
    value: usize,
    quoted_name: bool,
    quoted_value: bool,
}

/// What may stand between a label and its value: a closing quote, `:` or `=`, an opening quote, blanks, and the
/// backslashes of one or more rounds of escaping.
fn separated(text: &str, after: usize) -> Option<Gap> {
    let closing = skip(text, after, b"\\");
    let name_end = skip_quote(text, closing);
    let mark = skip(text, name_end, b" \t");
    if !text[mark..].starts_with([':', '=']) {
        return None;
    }
    let opening = skip(text, skip(text, mark + 1, b" \t>"), b"\\");
    let value = skip_quote(text, opening);
    Some(Gap {
        value,
        quoted_name: name_end > closing,
        quoted_value: value > opening,
    })
}

/// The run at `from` if it is an opaque value: `min` characters with a digit among them, or `min_plain` without.
fn opaque(
    text: &str,
    from: usize,
    belongs: fn(u8) -> bool,
    min: usize,
    min_plain: usize,
) -> Option<Range<usize>> {
    let decisive = run(text, from, DECISION_BYTES, belongs);
    let enough = decisive.len() >= min_plain || (decisive.len() >= min && has_digit(decisive));
    enough.then(|| from..from + run(text, from, usize::MAX, belongs).len())
}

/// The longest run of bytes that belong, from `from`, at most `limit` long. Only ASCII bytes may belong.
fn run(text: &str, from: usize, limit: usize, belongs: impl Fn(u8) -> bool) -> &str {
    let rest = &text[from..];
    let length = rest
        .bytes()
        .take(limit)
        .take_while(|b| b.is_ascii() && belongs(*b))
        .count();
    &rest[..length]
}

fn skip(text: &str, from: usize, bytes: &[u8]) -> usize {
    from + run(text, from, GAP_BYTES, |b| bytes.contains(&b)).len()
}

fn skip_quote(text: &str, from: usize) -> usize {
    from + usize::from(text[from..].starts_with(['"', '\'']))
}

/// Whether no word goes on into `start`; an escaped line break (`\n`) before it is no word.
fn begins_word(text: &str, start: usize) -> bool {
    match text.as_bytes()[..start] {
        [.., b'\\', _] => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => true,
    }
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

fn in_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_-.".contains(&b)
}

fn in_credential(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_-.~+/=%".contains(&b)
}

fn in_quoted(b: u8) -> bool {
    b.is_ascii_graphic() && !b"\"'`\\<>(){}[],;:=".contains(&b)
}

fn in_bare(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_-+/~".contains(&b)
}

fn in_key_block(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b"+/=-:,._\\()".contains(&b)
}
