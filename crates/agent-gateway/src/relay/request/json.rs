//! Walks JSON without building anything: it checks the whole text and shows the members of the outermost object.

use super::skip;

/// How deep values may lie in each other. Real requests stay below thirty; the walk itself needs one bit a level.
const MAX_DEPTH: usize = 512;

/// Why a body is not a JSON object. Places are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::relay) enum Invalid {
    #[error("the body is empty; a JSON object is wanted")]
    Empty,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body ends in the middle of its JSON")]
    Truncated,
    #[error("the body is not JSON: unexpected byte at {at}")]
    Unexpected { at: usize },
    #[error("the body is not JSON: a control character in a string at {at}")]
    Control { at: usize },
    #[error("the body is not JSON: a wrong escape in a string at {at}")]
    Escape { at: usize },
    #[error("the body is not JSON: a wrong number at {at}")]
    Number { at: usize },
    #[error("the body is not JSON: something follows its end at {at}")]
    Trailing { at: usize },
    #[error("the body is not UTF-8")]
    NotText,
    #[error("the body's JSON is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A string as it stands in the text, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawText<'a> {
    pub(super) raw: &'a [u8],
    /// It has escapes, so that `raw` is not what it says.
    pub(super) escaped: bool,
}

/// The value of a member, as far as anyone asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(RawText<'a>),
    Bool(bool),
    Other,
}

/// Shows `member` each member of the object that `bytes` is, in their order, repeated names included.
pub(super) fn walk_object<'a>(
    bytes: &'a [u8],
    mut member: impl FnMut(RawText<'a>, Value<'a>),
) -> Result<(), Invalid> {
    let mut walk = Walk {
        bytes,
        at: 0,
        wide: false,
    };
    walk.white_space();
    match bytes.get(walk.at) {
        Some(b'{') => walk.at += 1,
        Some(_) => {
            // Another value, or no JSON at all: the second is worth telling.
            walk.value()?;
            return walk.end().and(Err(Invalid::NotAnObject));
        }
        None => return Err(Invalid::Empty),
    }
    if !walk.closes(b'}') {
        loop {
            let name = walk.name()?;
            let value = walk.value()?;
            member(name, value);
            if !walk.goes_on(b'}')? {
                break;
            }
        }
    }
    walk.end()?;
    if walk.wide && std::str::from_utf8(bytes).is_err() {
        return Err(Invalid::NotText);
    }
    Ok(())
}

/// True when `bytes` are a whole JSON object.
pub(in crate::relay) fn is_object(bytes: &[u8]) -> bool {
    walk_object(bytes, |_, _| {}).is_ok()
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes beyond ASCII were seen.
    wide: bool,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Result<u8, Invalid> {
        self.bytes.get(self.at).copied().ok_or(Invalid::Truncated)
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Passes `closing` if it is next.
    fn closes(&mut self, closing: u8) -> bool {
        self.white_space();
        let closes = self.bytes.get(self.at) == Some(&closing);
        self.at += usize::from(closes);
        closes
    }

    /// After a value: true at a comma, false at `closing`.
    fn goes_on(&mut self, closing: u8) -> Result<bool, Invalid> {
        self.white_space();
        let byte = self.peek()?;
        if byte != b',' && byte != closing {
            return Err(Invalid::Unexpected { at: self.at });
        }
        self.at += 1;
        Ok(byte == b',')
    }

    /// A member's name with its colon.
    fn name(&mut self) -> Result<RawText<'a>, Invalid> {
        self.white_space();
        if self.peek()? != b'"' {
            return Err(Invalid::Unexpected { at: self.at });
        }
        let name = self.text()?;
        self.white_space();
        if self.peek()? != b':' {
            return Err(Invalid::Unexpected { at: self.at });
        }
        self.at += 1;
        Ok(name)
    }

    /// A string; its opening quote is next.
    fn text(&mut self) -> Result<RawText<'a>, Invalid> {
        let begin = self.at + 1;
        let skipped = skip::string(self.bytes, begin)?;
        self.at = skipped.end + 1;
        self.wide |= skipped.wide;
        Ok(RawText {
            raw: &self.bytes[begin..skipped.end],
            escaped: skipped.escaped,
        })
    }

    /// A value with all that lies in it. Does not call itself: the depth is the sender's choice.
    fn value(&mut self) -> Result<Value<'a>, Invalid> {
        self.white_space();
        let value = match self.peek()? {
            b'"' => Value::Text(self.text()?),
            b'{' | b'[' => {
                self.nested()?;
                Value::Other
            }
            _ => self.scalar()?,
        };
        Ok(value)
    }

    /// An object or an array; its opening bracket is next.
    fn nested(&mut self) -> Result<(), Invalid> {
        let mut open = Brackets::default();
        loop {
            // A value is next.
            self.white_space();
            match self.peek()? {
                b'"' => {
                    self.text()?;
                }
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    let object = bracket == b'{';
                    open.push(object)?;
                    if !self.closes(closing(object)) {
                        if object {
                            self.name()?;
                        }
                        continue;
                    }
                    open.pop();
                }
                _ => {
                    self.scalar()?;
                }
            }
            // What follows a value: another one, or the ends of what it lies in.
            loop {
                let Some(object) = open.last() else {
                    return Ok(());
                };
                if self.goes_on(closing(object))? {
                    if object {
                        self.name()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    fn scalar(&mut self) -> Result<Value<'a>, Invalid> {
        match self.peek()? {
            b't' => self.word(b"true", Value::Bool(true)),
            b'f' => self.word(b"false", Value::Bool(false)),
            b'n' => self.word(b"null", Value::Other),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Invalid::Unexpected { at: self.at }),
        }
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>, Invalid> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else if word.starts_with(rest) {
            Err(Invalid::Truncated)
        } else {
            Err(Invalid::Unexpected { at: self.at })
        }
    }

    fn number(&mut self) -> Result<Value<'a>, Invalid> {
        self.at += usize::from(self.peek()? == b'-');
        let begin = self.at;
        if self.digits()? > 1 && self.bytes[begin] == b'0' {
            return Err(Invalid::Number { at: begin });
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Other)
    }

    /// One digit or more; how many.
    fn digits(&mut self) -> Result<usize, Invalid> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(if rest.is_empty() {
                Invalid::Truncated
            } else {
                Invalid::Number { at: self.at }
            });
        }
        self.at += count;
        Ok(count)
    }

    fn end(&mut self) -> Result<(), Invalid> {
        self.white_space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Invalid::Trailing { at: self.at })
        }
    }
}

fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}

/// The brackets that are open, a bit each: set for an object.
#[derive(Default)]
struct Brackets {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Brackets {
    fn push(&mut self, object: bool) -> Result<(), Invalid> {
        // The outermost object is the caller's, and counts.
        if self.depth + 1 >= MAX_DEPTH {
            return Err(Invalid::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn last(&self) -> Option<bool> {
        let at = self.depth.checked_sub(1)?;
        Some(self.objects[at / 64] >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests;
