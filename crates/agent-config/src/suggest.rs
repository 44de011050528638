//! "Did you mean": the name closest to one that does not exist.

use crate::keys::{self, KEYS};

/// Longer texts are no misspelt names, and comparing them would cost time for nothing.
const MAX_NAME: usize = 64;
/// How alike two names must be (0 to 1): `max_turn` finds `max_turns`, `banana` finds nothing.
const ALIKE: f64 = 0.6;

/// The candidate most like `given`, if any is alike enough.
pub(crate) fn closest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > MAX_NAME {
        return None;
    }
    let given = given.to_ascii_lowercase().replace('-', "_");
    candidates
        .map(|name| {
            let plain = name.to_ascii_lowercase().replace('-', "_");
            (strsim::normalized_damerau_levenshtein(&given, &plain), name)
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// What is wrong with a key that does not exist, and what would be valid in its place.
pub(crate) fn unknown_key(path: &str) -> (String, String) {
    let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
    let siblings = names_in(table);
    let in_other_table = || {
        KEYS.iter()
            .map(|key| key.name)
            .find(|key| key.rsplit('.').next() == Some(name))
    };
    let meant = match closest(name, siblings.iter().copied()) {
        Some(sibling) if table.is_empty() => Some(sibling.to_owned()),
        Some(sibling) => Some(format!("{table}.{sibling}")),
        None => in_other_table().map(str::to_owned),
    };
    let mut message = "is not a known key".to_owned();
    if is_credential(name) {
        message.push_str(
            "; a credential does not belong here, set ANTHROPIC_API_KEY, or api.api_key_file to a file that only you may read",
        );
    } else if let Some(meant) = meant {
        message.push_str(&format!("; did you mean `{meant}`?"));
    }
    let place = if table.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in [{table}]")
    };
    (message, format!("{place}, one of {}", siblings.join(", ")))
}

/// The keys and tables directly in a table; those at the top where the table does not exist.
fn names_in(table: &str) -> Vec<&'static str> {
    let prefix = if keys::is_table(table) {
        format!("{table}.")
    } else {
        String::new()
    };
    let rest = KEYS
        .iter()
        .filter_map(|key| key.name.strip_prefix(prefix.as_str()));
    let mut names: Vec<_> = rest
        .map(|rest| rest.split_once('.').map_or(rest, |(name, _)| name))
        .collect();
    names.dedup();
    names
}

/// Names under which people write credentials down.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["apikey", "api_key", "token", "secret", "password"]
        .iter()
        .any(|part| name.ends_with(part))
}

#[cfg(test)]
mod tests {
    use super::{closest, unknown_key};

    #[test]
    fn unknown_keys_are_explained() {
        let message = |path| unknown_key(path).0;
        assert!(message("agent.max_turn").ends_with("did you mean `agent.max_turns`?"));
        assert!(message("agnet").ends_with("did you mean `agent`?"));
        assert!(message("logging.request_timeout").ends_with("did you mean `performance.request_timeout`?"));
        assert!(message("max_turns").ends_with("did you mean `agent.max_turns`?"));
        assert!(message("api.api_key").contains("ANTHROPIC_API_KEY"));
        let threshold = "monitoring.performance_thresholds.max_cpu";
        assert!(
            message(threshold).ends_with("is not a known key"),
            "{}",
            message(threshold)
        );
        insta::assert_snapshot!(unknown_key("monitoring.performance_thresholds.max_cpu_percent").0, @"");
        insta::assert_snapshot!(unknown_key("x").1, @"");
    }

    #[test]
    fn finds_what_was_meant() {
        let names = ["max_turns", "max_budget_usd", "turn_timeout", "thinking"];
        let cases = [
            ("max_turn", Some("max_turns")),
            ("Max-Turns", Some("max_turns")),
            ("max_bugdet_usd", Some("max_budget_usd")),
            ("timeout", None),
            ("banana", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(closest(given, names.into_iter()), expected, "{given}");
        }
        assert_eq!(closest(&"x".repeat(1_000_000), names.into_iter()), None);
    }
}
