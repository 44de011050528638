//! Tags as callers have them, and how they are made safe to keep.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Tags of one series. More than sixteen are not told apart by anyone; the first by key are kept.
pub const MAX_TAGS: usize = 16;

/// Bytes of a tag's key; conventions stay far below.
pub const MAX_KEY_BYTES: usize = 64;

/// Bytes of a tag's value. Enough for a model, a tool or a host name; a prompt has no business here.
pub const MAX_VALUE_BYTES: usize = 256;

/// Bytes of a metric's name.
pub const MAX_NAME_BYTES: usize = 128;

/// No tags.
pub const NO_TAGS: &[(&str, &str)] = &[];

/// A set of tags, in whatever order and form the caller holds them.
pub trait TagSet {
    /// How many there are.
    fn count(&self) -> usize;

    /// Key and value of each.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)>;
}

impl TagSet for HashMap<String, String> {
    fn count(&self) -> usize {
        self.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl TagSet for [(&str, &str)] {
    fn count(&self) -> usize {
        self.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().copied()
    }
}

impl<const N: usize> TagSet for [(&str, &str); N] {
    fn count(&self) -> usize {
        N
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().copied()
    }
}

/// The labels of a key of the `metrics` facade.
#[derive(Debug)]
pub(crate) struct Labels<'a>(pub(crate) &'a metrics::Key);

impl TagSet for Labels<'_> {
    fn count(&self) -> usize {
        self.0.labels().len()
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.labels().map(|label| (label.key(), label.value()))
    }
}

/// Tags as they are kept: cleaned, by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CleanTags(Box<[(Box<str>, Box<str>)]>);

impl CleanTags {
    pub(crate) fn new<T: TagSet + ?Sized>(tags: &T) -> Self {
        let mut pairs: Vec<_> = tags.pairs().collect();
        pairs.sort_unstable();
        let mut clean: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(pairs.len().min(MAX_TAGS));
        for (key, value) in pairs {
            if clean.len() == MAX_TAGS {
                break;
            }
            let key = cleaned(key, MAX_KEY_BYTES);
            if !clean.iter().any(|(before, _)| **before == *key) {
                clean.push((key.into(), cleaned(value, MAX_VALUE_BYTES).into()));
            }
        }
        CleanTags(clean.into_boxed_slice())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| **k == *key)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn to_map(&self) -> HashMap<String, String> {
        self.pairs()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

impl TagSet for CleanTags {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// `text` without control characters and within `limit` bytes.
pub(crate) fn cleaned(text: &str, limit: usize) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(limit)];
    if text.chars().any(char::is_control) {
        // One byte for one or more: the limit still holds.
        Cow::Owned(text.replace(char::is_control, "_"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A hash that does not depend on the order of the tags; none when they are past the limits and must be cleaned first.
#[inline]
pub(crate) fn hash_of<T: TagSet + ?Sized>(hasher: &impl BuildHasher, name: &str, tags: &T) -> Option<u64> {
    if tags.count() > MAX_TAGS || name.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut sum = 0u64;
    for (key, value) in tags.pairs() {
        if key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES {
            return None;
        }
        sum = sum.wrapping_add(hasher.hash_one((key, value)));
    }
    Some(hasher.hash_one(name) ^ sum.rotate_left(17))
}
