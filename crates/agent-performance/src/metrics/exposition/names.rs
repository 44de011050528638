//! Names that Prometheus takes, each given once.

use std::collections::HashMap;

/// Names that are taken. Two names of ours can become the same one; the later then gets a number, so that neither is
/// lost and no sample comes twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// With the number that the last of its followers got.
    taken: HashMap<String, u32, foldhash::fast::RandomState>,
}

impl Names {
    /// `wanted`, or `wanted` with a number, such that it is free together with each of `suffixes` behind it. True when it
    /// needed a number.
    pub(super) fn claim(&mut self, wanted: String, suffixes: &[&str]) -> (String, bool) {
        if self.is_free(&wanted, suffixes) {
            self.take(&wanted, suffixes);
            return (wanted, false);
        }
        // Numbers go on where they ended, so that thousands of the same name do not try one another's again.
        let mut number = self.taken.get(&wanted).copied().unwrap_or(1);
        let free = loop {
            number += 1;
            let numbered = format!("{wanted}_{number}");
            if self.is_free(&numbered, suffixes) {
                break numbered;
            }
        };
        self.taken.insert(wanted, number);
        self.take(&free, suffixes);
        (free, true)
    }

    /// Forgets all names and keeps the room.
    pub(super) fn clear(&mut self) {
        self.taken.clear();
    }

    fn is_free(&self, name: &str, suffixes: &[&str]) -> bool {
        let mut with_suffix = String::new();
        !self.taken.contains_key(name)
            && suffixes.iter().all(|suffix| {
                with_suffix.clear();
                with_suffix.push_str(name);
                with_suffix.push_str(suffix);
                !self.taken.contains_key(&with_suffix)
            })
    }

    fn take(&mut self, name: &str, suffixes: &[&str]) {
        self.taken.insert(name.to_owned(), 1);
        for suffix in suffixes {
            self.taken.insert(format!("{name}{suffix}"), 1);
        }
    }
}

/// `name` with underscores for what a metric's name may not hold.
pub(super) fn metric(name: &str) -> String {
    let digit_first = name.starts_with(|c: char| c.is_ascii_digit());
    plain(if digit_first || name.is_empty() { "_" } else { "" }, name)
}

/// `key` with underscores for what a label's name may not hold; two underscores at its beginning are reserved, and a
/// single one would become two with a number behind it.
pub(super) fn label(key: &str) -> String {
    let plain_key = plain("", key);
    let odd = matches!(&*plain_key, "" | "_")
        || plain_key.starts_with("__")
        || plain_key.starts_with(|c: char| c.is_ascii_digit());
    if odd { plain("key_", key) } else { plain_key }
}

fn plain(before: &str, name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let letters = name.chars().map(|c| if allowed(c) { c } else { '_' });
    before.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_becomes_an_underscore() {
        for (name, as_metric, as_label) in [
            ("gen_ai.tool.name", "gen_ai_tool_name", "gen_ai_tool_name"),
            ("2xx", "_2xx", "key_2xx"),
            ("", "_", "key_"),
            (".", "_", "key__"),
            ("__name__", "__name__", "key___name__"),
            ("..x", "__x", "key___x"),
            ("ünï:cod-e 水", "_n__cod_e__", "_n__cod_e__"),
        ] {
            assert_eq!((&*metric(name), &*label(name)), (as_metric, as_label));
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_also_where_only_a_sample_of_it_is() {
        let mut names = Names::default();
        let mut claim = |name: &str, suffixes: &[&str]| names.claim(name.to_owned(), suffixes);
        assert_eq!(claim("x", &["_count", "_sum"]), ("x".to_owned(), false));
        assert_eq!(claim("x", &[]), ("x_2".to_owned(), true));
        assert_eq!(claim("x_count", &[]), ("x_count_2".to_owned(), true));
        assert_eq!(claim("y_total", &[]), ("y_total".to_owned(), false));
        assert_eq!(claim("y", &["_total"]), ("y_2".to_owned(), true));
        assert_eq!(claim("x_2", &[]), ("x_2_2".to_owned(), true));
        assert_eq!(claim("x", &[]), ("x_3".to_owned(), true));
    }

    #[test]
    fn ten_thousand_of_the_same_name_are_quick() {
        let mut names = Names::default();
        for n in 0..10_000 {
            let (name, numbered) = names.claim("same".to_owned(), &["_total"]);
            assert_eq!(numbered, n > 0, "{name}");
        }
    }
}
