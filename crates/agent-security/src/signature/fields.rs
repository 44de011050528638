//! The little of Structured Fields (RFC 8941) that signatures need: dictionaries of byte sequences, and of lists of strings with
//! parameters. Strict: what is rare and what is ambiguous is refused.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The longest header value that is looked at, in bytes, over all its lines: a real one has 300.
pub(super) const MAX_HEADER_BYTES: usize = 4096;

/// Signatures on one request: the client's, and those of proxies between.
const MAX_MEMBERS: usize = 4;

/// Covered components of one signature: six of ours, and what else a client likes to sign.
const MAX_COMPONENTS: usize = 32;

/// Parameters of one signature; the standard knows six.
const MAX_PARAMETERS: usize = 8;

/// The longest integer, in digits, as the standard says.
const MAX_DIGITS: usize = 15;

/// What is covered by one signature, and its parameters, both in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) components: Vec<String>,
    pub(super) parameters: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i64),
    Text(String),
}

pub(super) type Malformed = &'static str;

impl Input {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find_map(|(known, value)| match value {
            Value::Text(text) if known == name => Some(text.as_str()),
            _ => None,
        })
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.parameters.iter().find_map(|(known, value)| match value {
            Value::Integer(number) if known == name => Some(*number),
            _ => None,
        })
    }

    /// As the standard writes it: what `@signature-params` stands for in the signed text.
    pub(super) fn serialize(&self) -> String {
        let components: Vec<String> = self.components.iter().map(|name| quoted(name)).collect();
        let mut out = format!("({})", components.join(" "));
        for (name, value) in &self.parameters {
            out.push(';');
            out.push_str(name);
            out.push('=');
            match value {
                Value::Integer(number) => out.push_str(&number.to_string()),
                Value::Text(text) => out.push_str(&quoted(text)),
            }
        }
        out
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The members of a `signature-input`, in order.
pub(super) fn inputs(header: &str) -> Result<Vec<(String, Input)>, Malformed> {
    members(header, Reader::input)
}

/// The members of a `signature` or `content-digest`, in order.
pub(super) fn byte_sequences(header: &str) -> Result<Vec<(String, Vec<u8>)>, Malformed> {
    members(header, Reader::bytes)
}

fn members<'a, T>(
    header: &'a str,
    value: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<(String, T)>, Malformed> {
    if header.len() > MAX_HEADER_BYTES {
        return Err("a header is too long");
    }
    let mut reader = Reader {
        rest: header.trim_matches(' '),
    };
    let mut found: Vec<(String, T)> = Vec::new();
    loop {
        let label = reader.key()?;
        reader.expect('=')?;
        let value = value(&mut reader)?;
        if found.iter().any(|(known, _)| *known == label) {
            return Err("a label is there twice");
        }
        if found.len() == MAX_MEMBERS {
            return Err("there are too many signatures or digests");
        }
        found.push((label, value));
        reader.blanks(&[' ', '\t']);
        if reader.rest.is_empty() {
            return Ok(found);
        }
        reader.expect(',')?;
        reader.blanks(&[' ', '\t']);
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), Malformed> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err("a header is not a dictionary as it should be")
        }
    }

    fn blanks(&mut self, kinds: &[char]) {
        self.rest = self.rest.trim_start_matches(kinds);
    }

    fn key(&mut self) -> Result<String, Malformed> {
        if !self.peek().is_some_and(|c| c.is_ascii_lowercase() || c == '*') {
            return Err("a label or parameter name is malformed");
        }
        let in_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
        let end = self.rest.find(|c| !in_key(c)).unwrap_or(self.rest.len());
        let (key, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(key.to_owned())
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        self.expect(':')?;
        let end = self.rest.find(':').ok_or("a byte sequence has no end")?;
        let (encoded, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.expect(':')?;
        BASE64_STANDARD
            .decode(encoded)
            .map_err(|_| "a byte sequence is not base64")
    }

    fn input(&mut self) -> Result<Input, Malformed> {
        self.expect('(')?;
        let mut components: Vec<String> = Vec::new();
        loop {
            self.blanks(&[' ']);
            if self.take(')') {
                break;
            }
            let name = self.string()?;
            if self.peek() == Some(';') {
                return Err("components with parameters are not supported");
            }
            if !matches!(self.peek(), Some(' ' | ')')) {
                return Err("the list of components is malformed");
            }
            if components.contains(&name) {
                return Err("a component is covered twice");
            }
            if components.len() == MAX_COMPONENTS {
                return Err("too many components are covered");
            }
            components.push(name);
        }
        Ok(Input {
            components,
            parameters: self.parameters()?,
        })
    }

    fn parameters(&mut self) -> Result<Vec<(String, Value)>, Malformed> {
        let mut parameters: Vec<(String, Value)> = Vec::new();
        while self.take(';') {
            self.blanks(&[' ']);
            let name = self.key()?;
            self.expect('=')?;
            let value = match self.peek() {
                Some('"') => Value::Text(self.string()?),
                Some('-' | '0'..='9') => Value::Integer(self.integer()?),
                _ => return Err("a parameter is neither a string nor an integer"),
            };
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err("a parameter is there twice");
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err("there are too many parameters");
            }
            parameters.push((name, value));
        }
        Ok(parameters)
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.expect('"')?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => text.push(c),
                    _ => return Err("a string has an unknown escape"),
                },
                ' '..='~' => text.push(c),
                _ => return Err("a string has a character outside of ASCII"),
            }
        }
        Err("a string has no end")
    }

    fn integer(&mut self) -> Result<i64, Malformed> {
        let negative = self.take('-');
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.len() > MAX_DIGITS || rest.starts_with('.') {
            return Err("a number is not an integer, or too long");
        }
        self.rest = rest;
        let number: i64 = digits.parse().map_err(|_| "a number has no digits")?;
        Ok(if negative { -number } else { number })
    }
}

/// What was understood must be the same after being written and read again.
pub(super) fn check_round_trip(header: &str) {
    if let Ok(members) = inputs(header) {
        assert!(!members.is_empty() && members.len() <= MAX_MEMBERS);
        for (label, input) in members {
            let written = format!("{label}={}", input.serialize());
            assert_eq!(inputs(&written), Ok(vec![(label, input)]), "{written}");
        }
    }
    if let Ok(members) = byte_sequences(header) {
        for (label, bytes) in members {
            let written = format!("{label}=:{}:", BASE64_STANDARD.encode(&bytes));
            assert_eq!(byte_sequences(&written), Ok(vec![(label, bytes)]), "{written}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_header_is_read_and_written_again() {
        let params = r#"("@method" "@path");created=1618884473;expires=-5;keyid="a \"b\" \\c";nonce="""#;
        let members = inputs(&format!("sig1={params}, other=(  \"date\" ); tag=\"x\"")).unwrap();
        assert_eq!(members.len(), 2);
        let (label, input) = &members[0];
        assert_eq!((label.as_str(), input.serialize().as_str()), ("sig1", params));
        assert_eq!(input.text("keyid"), Some("a \"b\" \\c"));
        assert_eq!(input.integer("expires"), Some(-5));
        assert_eq!(
            (input.text("created"), input.integer("keyid"), input.text("alg")),
            (None, None, None)
        );
        assert_eq!(members[1].1.serialize(), r#"("date");tag="x""#);
        let digests = byte_sequences("sha-256=:AQI=:,\tsha-512=:Aw==:").unwrap();
        assert_eq!(
            digests,
            [
                ("sha-256".to_owned(), vec![1, 2]),
                ("sha-512".to_owned(), vec![3])
            ]
        );
    }

    #[test]
    fn what_is_rare_ambiguous_or_too_much_is_refused() {
        let many = |count: usize, item: &dyn Fn(usize) -> String, between: &str| {
            (0..count).map(item).collect::<Vec<_>>().join(between)
        };
        let bad = [
            String::new(),
            "sig".into(),
            "sig=".into(),
            "Sig=()".into(),
            "sig=(".into(),
            "sig=()x".into(),
            "sig=(),".into(),
            "sig=(), sig=()".into(),
            r#"sig=("a""b")"#.into(),
            r#"sig=("a" "a")"#.into(),
            r#"sig=("a";req)"#.into(),
            "sig=(a)".into(),
            r#"sig=("a);created=1"#.into(),
            r#"sig=("\n")"#.into(),
            "sig=(\"ä\")".into(),
            "sig=();created".into(),
            "sig=();created=1.5".into(),
            "sig=();created=-".into(),
            "sig=();created=1234567890123456".into(),
            "sig=();created=1;created=2".into(),
            "sig=();created=?1".into(),
            many(MAX_MEMBERS + 1, &|n| format!("s{n}=()"), ", "),
            format!("s=({})", many(MAX_COMPONENTS + 1, &|n| format!("\"c{n}\""), " ")),
            format!("s=();{}", many(MAX_PARAMETERS + 1, &|n| format!("p{n}=1"), ";")),
            format!("s=();p=\"{}\"", "x".repeat(MAX_HEADER_BYTES)),
        ];
        for header in bad {
            assert!(inputs(&header).is_err(), "{header}");
        }
        for header in [
            "a=::b",
            "a=:A:",
            "a=:AQI:",
            "a=:AQJ=:x",
            "a=AQI=",
            "a=:AQI=:;p=1",
            "a=:\u{e4}:",
            "a=:AQI=:, a=:AQI=:",
        ] {
            assert!(byte_sequences(header).is_err(), "{header}");
        }
    }
}
