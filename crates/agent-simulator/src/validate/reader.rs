//! Reading JSON with errors as the API words them: the path, a colon, the reason.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::ApiError;

pub(crate) type Checked<T> = Result<T, ApiError>;

/// Where a value stands in the request. A chain on the stack: the text is made only when something is wrong.
#[derive(Clone, Copy)]
pub(crate) enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    pub(crate) fn key(&'p self, key: &'p str) -> Place<'p> {
        Place::Key(self, key)
    }

    pub(crate) fn index(&'p self, index: usize) -> Place<'p> {
        Place::Index(self, index)
    }

    pub(crate) fn refuse(&self, reason: impl fmt::Display) -> ApiError {
        ApiError::invalid(format!("{self}: {reason}"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parent, name): (_, &dyn fmt::Display) = match self {
            Place::Root => return Ok(()),
            Place::Key(parent, key) => (parent, key),
            Place::Index(parent, index) => (parent, index),
        };
        if !matches!(parent, Place::Root) {
            write!(f, "{parent}.")?;
        }
        write!(f, "{name}")
    }
}

pub(crate) fn object<'v>(value: &'v Value, at: &Place) -> Checked<&'v Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| at.refuse("Input should be an object"))
}

pub(crate) fn array<'v>(value: &'v Value, at: &Place) -> Checked<&'v Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| at.refuse("Input should be a valid array"))
}

pub(crate) fn string<'v>(value: &'v Value, at: &Place) -> Checked<&'v str> {
    value
        .as_str()
        .ok_or_else(|| at.refuse("Input should be a valid string"))
}

pub(crate) fn boolean(value: &Value, at: &Place) -> Checked<bool> {
    value
        .as_bool()
        .ok_or_else(|| at.refuse("Input should be a valid boolean"))
}

pub(crate) fn integer(value: &Value, at: &Place, least: u64) -> Checked<u64> {
    match value.as_u64() {
        Some(number) if number >= least => Ok(number),
        Some(_) => Err(at.refuse(format!("Input should be greater than or equal to {least}"))),
        None if value.is_i64() => Err(at.refuse(format!("Input should be greater than or equal to {least}"))),
        None => Err(at.refuse("Input should be a valid integer")),
    }
}

/// A field that must be there; `null` counts as absent.
pub(crate) fn required<'v>(object: &'v Map<String, Value>, key: &str, at: &Place) -> Checked<&'v Value> {
    optional(object, key).ok_or_else(|| at.key(key).refuse("Field required"))
}

pub(crate) fn optional<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    object.get(key).filter(|value| !value.is_null())
}

pub(crate) fn required_string<'v>(object: &'v Map<String, Value>, key: &str, at: &Place) -> Checked<&'v str> {
    string(required(object, key, at)?, &at.key(key))
}

/// One of a closed set of strings.
pub(crate) fn choice(value: &Value, valid: &[&str], at: &Place) -> Checked<()> {
    match value.as_str() {
        Some(text) if valid.contains(&text) => Ok(()),
        _ => {
            let quoted: Vec<String> = valid.iter().map(|text| format!("'{text}'")).collect();
            let listed = match quoted.split_last() {
                Some((last, [])) => last.clone(),
                Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                None => String::new(),
            };
            Err(at.refuse(format!("Input should be {listed}")))
        }
    }
}

/// Ids and names that the API lets through: letters, digits, `_` and `-`.
pub(crate) fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
