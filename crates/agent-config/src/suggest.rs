//! "Did you mean": the name closest to one that does not exist.

use crate::keys::KEYS;

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

/// What is wrong with a name that is no key of its table, and what would be valid in its place. The table exists;
/// the top is the empty one.
pub(crate) fn unknown_key(table: &str, name: &str) -> (String, String) {
    let siblings = names_in(table);
    let meant_here = closest(name, siblings.iter().copied());
    let meant_elsewhere = KEYS
        .iter()
        .map(|key| key.name)
        .find(|key| key.rsplit('.').next() == Some(name));
    let mut message = "is not a known key".to_owned();
    if let Some(sibling) = meant_here {
        message.push_str(&format!("; did you mean `{}`?", join(table, sibling)));
    } else if is_credential(name) {
        message.push_str(
            "; a credential does not belong here: set ANTHROPIC_API_KEY, or set api.api_key_file to a file that only you may read",
        );
    } else if let Some(key) = meant_elsewhere {
        message.push_str(&format!("; did you mean `{key}`?"));
    }
    (message, valid_names(table))
}

/// What may be set in a table.
pub(crate) fn valid_names(table: &str) -> String {
    let place = if table.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in [{table}]")
    };
    format!("{place}, one of {}", names_in(table).join(", "))
}

/// The path of a name in a table.
pub(crate) fn join(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_owned()
    } else {
        format!("{table}.{name}")
    }
}

/// The keys and tables directly in a table.
fn names_in(table: &str) -> Vec<&'static str> {
    let prefix = join(table, "");
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
        let cases = [
            ("agent", "max_turn", "; did you mean `agent.max_turns`?"),
            ("", "agnet", "; did you mean `agent`?"),
            ("logging", "cache_ttl", "; did you mean `performance.cache_ttl`?"),
            ("", "max_turns", "; did you mean `agent.max_turns`?"),
            (
                "api",
                "max_output_token",
                "; did you mean `api.max_output_tokens`?",
            ),
            (
                "monitoring.performance_thresholds",
                "max_cpu_percent",
                "did you mean `monitoring.performance_thresholds.max_cpu_usage_percent`?",
            ),
            ("api", "api_key", "to a file that only you may read"),
            ("", "xyzzy", "is not a known key"),
        ];
        for (table, name, end) in cases {
            let message = unknown_key(table, name).0;
            assert!(message.ends_with(end), "{table} {name}: {message}");
        }
        insta::assert_snapshot!(unknown_key("monitoring.performance_thresholds", "x").1, @"in [monitoring.performance_thresholds], one of max_response_time_ms, max_memory_usage_mb, max_cpu_usage_percent, max_error_rate_percent");
        insta::assert_snapshot!(unknown_key("", "x").1, @"at the top, one of environment, security, performance, monitoring, logging, deployment, api, agent, tools, server, shared");
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
