//! The keys of requests that were answered from memory lately: who asks the very same again is spared the hash of it, which is
//! most of what such an answer costs outside the kernel.

use std::hash::{BuildHasher, Hasher, RandomState};

use agent_performance::cache::CacheKey;
use http::header::{HeaderMap, HeaderName};
use http::request::Parts;
use parking_lot::Mutex;

/// Requests remembered. Together with [`LONGEST`] this holds 1 MiB at most.
const SLOTS: usize = 64;

/// Longest body that is remembered, in bytes: a longer one is hashed each time.
const LONGEST: usize = 16 << 10;

/// Longest of everything else that is remembered, in bytes.
const LONGEST_HEAD: usize = 1 << 10;

/// Bytes looked at in each of three places of a body to choose its slot.
const SAMPLE: usize = 32;

/// A request is in the one slot that its hash names, until another takes the slot. Two requests are the same only when every
/// byte that makes the key is: what the hash leaves out can cost a slot, never give a wrong key.
pub(super) struct RecentKeys {
    slots: Box<[Mutex<Option<Remembered>>]>,
    hasher: RandomState,
}

struct Remembered {
    /// Tenant, method and path.
    place: [Box<str>; 3],
    /// The headers that select an answer, each with the index of its name.
    selectors: Box<[(usize, Box<[u8]>)]>,
    body: Box<[u8]>,
    key: CacheKey,
}

/// What the key of a request is made from, beside what is the same for all.
pub(super) struct Asked<'a> {
    pub(super) tenant: &'a str,
    pub(super) head: &'a Parts,
    pub(super) body: &'a [u8],
}

impl Asked<'_> {
    fn place(&self) -> [&str; 3] {
        let path = self.head.uri.path_and_query().map_or("", |path| path.as_str());
        [self.tenant, self.head.method.as_str(), path]
    }

    fn is(&self, remembered: &Remembered, names: &[HeaderName]) -> bool {
        let selectors = remembered.selectors.iter();
        self.place()
            .into_iter()
            .eq(remembered.place.iter().map(AsRef::as_ref))
            && selecting(&self.head.headers, names).eq(selectors.map(|(index, value)| (*index, &**value)))
            && *self.body == *remembered.body
    }
}

/// The values of `names`, in the order of `names`, each with the index of its name.
fn selecting<'a>(headers: &'a HeaderMap, names: &'a [HeaderName]) -> impl Iterator<Item = (usize, &'a [u8])> {
    let names = names.iter().enumerate();
    names.flat_map(|(index, name)| {
        headers
            .get_all(name)
            .iter()
            .map(move |value| (index, value.as_bytes()))
    })
}

impl RecentKeys {
    pub(super) fn new() -> Self {
        RecentKeys {
            slots: (0..SLOTS).map(|_| Mutex::new(None)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The key of a request with these bytes, if one is remembered. `names` are all headers that a key depends on.
    pub(super) fn find(&self, asked: &Asked<'_>, names: &[HeaderName]) -> Option<CacheKey> {
        if asked.body.len() > LONGEST {
            return None;
        }
        let slot = self.slot(asked).lock();
        let remembered = slot.as_ref()?;
        asked.is(remembered, names).then(|| remembered.key.clone())
    }

    /// Remembers a copy: slices of what was read would keep the whole read buffer alive.
    pub(super) fn remember(&self, asked: &Asked<'_>, names: &[HeaderName], key: &CacheKey) {
        let selectors = selecting(&asked.head.headers, names);
        let values = selectors.map(|(_, value)| value.len()).sum::<usize>();
        let places = asked.place().map(str::len).iter().sum::<usize>();
        if asked.body.len() > LONGEST || values + places > LONGEST_HEAD {
            return;
        }
        let selectors = selecting(&asked.head.headers, names);
        let remembered = Remembered {
            place: asked.place().map(Box::from),
            selectors: selectors.map(|(index, value)| (index, value.into())).collect(),
            body: asked.body.into(),
            key: key.clone(),
        };
        *self.slot(asked).lock() = Some(remembered);
    }

    fn slot(&self, asked: &Asked<'_>) -> &Mutex<Option<Remembered>> {
        let body = asked.body;
        let mut hash = self.hasher.build_hasher();
        hash.write_usize(body.len());
        for start in [0, body.len() / 2, body.len().saturating_sub(SAMPLE)] {
            hash.write(&body[start..body.len().min(start + SAMPLE)]);
        }
        &self.slots[hash.finish() as usize % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::super::cached::{SELECTING, key};
    use super::*;

    fn head(path: &str, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn found(recent: &RecentKeys, tenant: &str, head: &Parts, body: &[u8]) -> Option<CacheKey> {
        recent.find(&Asked { tenant, head, body }, &SELECTING)
    }

    /// Asks once as the relay does: what was not remembered is hashed, and remembered.
    fn ask(recent: &RecentKeys, tenant: &str, head: &Parts, body: &[u8]) -> CacheKey {
        let hashed = key(tenant, "http://api.test", head, body);
        if let Some(key) = found(recent, tenant, head, body) {
            assert_eq!(key, hashed, "{tenant} {head:?}");
        }
        recent.remember(&Asked { tenant, head, body }, &SELECTING, &hashed);
        hashed
    }

    #[test]
    fn only_the_very_same_request_has_a_key_that_is_remembered() {
        let recent = RecentKeys::new();
        let (path, version) = ("/v1/messages", ("anthropic-version", "2023-06-01"));
        let same = head(path, &[version]);
        let body = b"a body long enough that its samples do not reach each of its bytes, as those of most requests do not, since they \
            are much longer than this one is";
        let first = ask(&recent, "local", &same, body);
        assert_eq!(found(&recent, "local", &same, body), Some(first));

        let mut another = *body;
        another[35] ^= 1;
        assert_eq!(
            std::ptr::from_ref(recent.slot(&Asked {
                tenant: "local",
                head: &same,
                body
            })),
            std::ptr::from_ref(recent.slot(&Asked {
                tenant: "local",
                head: &same,
                body: &another
            })),
            "the slot does not tell them apart, and the comparison has to"
        );
        let others = [
            ("local", same.clone(), &another[..]),
            ("other", same.clone(), body),
            ("local", head("/v1/messages?beta=true", &[version]), body),
            ("local", head(path, &[]), body),
            ("local", head(path, &[version, version]), body),
            ("local", head(path, &[("anthropic-version", "2026-10-01")]), body),
            ("local", head(path, &[version, ("anthropic-beta", "a")]), body),
            ("local", head(path, &[version, ("accept-language", "de")]), body),
            (
                "local",
                head(path, &[version, ("anthropic-workspace-id", "2023-06-01")]),
                body,
            ),
            // The same value under another name.
            ("local", head(path, &[("anthropic-beta", "2023-06-01")]), body),
        ];
        for (tenant, head, body) in &others {
            assert_eq!(found(&recent, tenant, head, body), None, "{tenant} {head:?}");
        }
        let irrelevant = head(path, &[("x-request", "1"), version]);
        assert!(found(&recent, "local", &irrelevant, body).is_some());
    }

    #[test]
    fn a_key_that_is_remembered_is_the_key_that_would_be_made() {
        let recent = RecentKeys::new();
        let heads = [
            head("/v1/messages", &[]),
            head("/v1/messages", &[("anthropic-beta", "a")]),
            head("/v1/messages", &[("anthropic-beta", "b")]),
        ];
        for round in 0..4_u32 {
            for number in 0..1_000_u32 {
                let body = (number % 300).to_le_bytes().repeat(1 + number as usize % 7);
                ask(
                    &recent,
                    ["a", "b"][(number + round) as usize % 2],
                    &heads[number as usize % 3],
                    &body,
                );
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_remembered() {
        let recent = RecentKeys::new();
        let plain = head("/v1/messages", &[]);
        ask(&recent, "local", &plain, &vec![b' '; LONGEST]);
        assert!(found(&recent, "local", &plain, &vec![b' '; LONGEST]).is_some());
        ask(&recent, "local", &plain, &vec![b' '; LONGEST + 1]);
        assert_eq!(found(&recent, "local", &plain, &vec![b' '; LONGEST + 1]), None);

        let long = head(&format!("/v1/messages?{}", "a".repeat(LONGEST_HEAD)), &[]);
        ask(&recent, "local", &long, b"");
        assert_eq!(found(&recent, "local", &long, b""), None);
    }
}
