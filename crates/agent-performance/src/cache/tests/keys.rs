use proptest::prelude::*;

use crate::cache::{CacheKey, KeyParts, Tenant};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    credential: String,
    method: String,
    endpoint: String,
    api_version: String,
    betas: Vec<String>,
    selectors: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Owned {
    fn key(&self) -> CacheKey {
        let betas: Vec<&str> = self.betas.iter().map(String::as_str).collect();
        let selectors: Vec<_> = self
            .selectors
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        KeyParts {
            tenant: Tenant::of_credential(self.credential.as_bytes()),
            method: &self.method,
            endpoint: &self.endpoint,
            api_version: &self.api_version,
            betas: &betas,
            selectors: &selectors,
            body: &self.body,
        }
        .key()
    }
}

prop_compose! {
    // Few letters, so that equal and nearly equal parts are common.
    fn owned()(
        texts in prop::array::uniform4("[ab/]{0,3}"),
        betas in prop::collection::vec("[ab]{1,2}", 0..3),
        selectors in prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..3),
        body in prop::collection::vec(97..99u8, 0..4),
    ) -> Owned {
        let [credential, method, endpoint, api_version] = texts;
        Owned { credential, method, endpoint, api_version, betas, selectors, body }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keys_are_equal_exactly_when_all_parts_are(one in owned(), other in owned()) {
        prop_assert_eq!(one.key() == other.key(), one == other);
        prop_assert_eq!(one.key().as_str().len(), 64);
    }

    #[test]
    fn any_change_of_any_part_changes_the_key(one in owned(), part in 0..7, text in "[a-z]{1,3}") {
        let mut other = one.clone();
        match part {
            0 => other.credential.push_str(&text),
            1 => other.method.push_str(&text),
            2 => other.endpoint.push_str(&text),
            3 => other.api_version.push_str(&text),
            4 => other.betas.push(text),
            5 => other.selectors.push((text.clone(), text)),
            _ => other.body.extend_from_slice(text.as_bytes()),
        }
        prop_assert_ne!(one.key(), other.key());
    }

    #[test]
    fn moving_a_byte_to_the_next_part_changes_the_key(one in owned()) {
        let mut other = one.clone();
        if let Some(last) = other.endpoint.pop() {
            other.api_version.insert(0, last);
            prop_assert_ne!(one.key(), other.key());
        }
    }
}

#[test]
fn a_list_in_one_line_or_in_several_is_the_same_list() {
    let with = |betas: &[&str], selectors: &[(&str, &str)]| {
        KeyParts {
            tenant: Tenant::of_credential(b"key"),
            method: "POST",
            endpoint: "https://api.example/v1/messages",
            api_version: "2026-10-21",
            betas,
            selectors,
            body: b"{}",
        }
        .key()
    };
    assert_eq!(with(&["a,b"], &[]), with(&["a", " b "], &[]));
    assert_eq!(with(&["a, ,b,"], &[]), with(&["a", "b"], &[]));
    assert_ne!(with(&["b,a"], &[]), with(&["a,b"], &[]));
    assert_ne!(with(&["a b"], &[]), with(&["a,b"], &[]));
    assert_eq!(with(&[], &[("Accept", "x")]), with(&[], &[("accept", "x")]));
    assert_ne!(with(&[], &[("accept", "X")]), with(&[], &[("accept", "x")]));
}

#[test]
fn a_tenant_does_not_show_its_credential() {
    let tenant = Tenant::of_credential(b"sk-ant-secret");
    let shown = format!("{tenant:?}");
    assert!(!shown.contains("secret") && shown.len() < 20, "{shown}");
}
