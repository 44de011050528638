//! The rules and the dashboard in `deploy/`: a Prometheus takes them, and they ask for nothing that the daemon does not serve.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use claude_agent::performance::metrics::catalogue::GROUPS;
use claude_agent::performance::metrics::exposition::sample_names;
use serde_json::Value;

use super::{Prometheus, used};
use crate::compatibility::rig::repository;
use crate::support::{finish, stderr, stdout, wait_until};

/// What Prometheus itself knows of a target, whatever it serves.
const OF_PROMETHEUS: &[&str] = &["up"];

fn rules() -> PathBuf {
    repository().join("deploy/prometheus/claude-agent.rules.yml")
}

/// Every query of the dashboard, its variables filled in as Grafana does.
fn dashboard_queries() -> Vec<String> {
    let file = repository().join("deploy/grafana/claude-agent.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            panel["title"].as_str().is_some_and(|title| !title.is_empty()),
            "{panel}"
        );
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            found.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        found.push(annotation["expr"].as_str().unwrap().to_owned());
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let wanted = variable["query"]["query"].as_str().unwrap_or_default();
        if let Some(inner) = wanted.strip_prefix("label_values(") {
            found.push(inner.rsplit_once(',').unwrap().0.to_owned());
        }
    }
    found
        .iter()
        .map(|query| {
            query
                .replace("$__rate_interval", "1m")
                .replace("$job", "claude-agent")
                .replace("$instance", ".*")
        })
        .collect()
}

/// The names of metrics in an expression: the words that are no label, function or keyword.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    /// Before lists of labels.
    const LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
    const KEYWORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "inf", "nan"];
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        let end = |closing: char| rest.find(closing).unwrap_or_else(|| panic!("{expression}")) + 1;
        rest = match next {
            '{' => {
                // Values of labels in double quotes may hold anything, but here none holds a brace.
                &rest[end('}')..]
            }
            '[' => &rest[end(']')..],
            c if c.is_ascii_alphabetic() || c == '_' => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                let (word, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
                let follows = after.trim_start();
                if LISTS.contains(&word) && follows.starts_with('(') {
                    &follows[follows.find(')').unwrap() + 1..]
                } else {
                    // `sum(…)`, `sum by (…) (…)`.
                    let is_function = follows.starts_with('(')
                        || ["by ", "without "].iter().any(|list| follows.starts_with(list));
                    if !KEYWORDS.contains(&word) && !is_function {
                        names.insert(word.to_owned());
                    }
                    after
                }
            }
            // A number, with its unit or exponent.
            c if c.is_ascii_digit() => {
                rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.')
            }
            c => &rest[c.len_utf8()..],
        };
    }
    names
}

fn undeclared(expression: &str) -> Vec<String> {
    let declared: BTreeSet<String> = GROUPS
        .iter()
        .flat_map(|group| group.rows)
        .flat_map(sample_names)
        .collect();
    let names = metrics_in(expression);
    assert!(!names.is_empty(), "nothing is asked for: {expression}");
    names
        .into_iter()
        .filter(|name| !declared.contains(name) && !OF_PROMETHEUS.contains(&name.as_str()))
        .collect()
}

#[test]
fn names_are_found_in_expressions() {
    let found = |expression: &str| metrics_in(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(
        found(
            "sum by (le, x) (rate(a_bucket{job=\"j\"}[5m])) / 1e3 > on(x) group_left(y) b:c unless d offset 5m"
        ),
        ["a_bucket", "b:c", "d"]
    );
    assert_eq!(
        undeclared("rate(agent_turns_total[5m]) > agent_turn"),
        ["agent_turn"]
    );
}

#[test]
fn promtool_takes_the_rules_and_its_tests_of_them_pass() {
    for arguments in [
        ["check", "rules", "claude-agent.rules.yml"],
        ["test", "rules", "claude-agent.test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        promtool.args(arguments).current_dir(rules().parent().unwrap());
        let output = finish(&mut promtool);
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn a_prometheus_evaluates_every_rule_and_every_query_of_the_dashboard() {
    let rig = used();
    let prometheus = Prometheus::with_rules(&rig, Some(&rules()));
    let mut groups = Value::Null;
    wait_until("every rule was evaluated", || {
        let Ok(answer) = prometheus.get("/api/v1/rules") else {
            return false;
        };
        groups = answer["data"]["groups"].clone();
        let rules = groups[0]["rules"].as_array();
        rules.is_some_and(|rules| rules.iter().all(|rule| rule["health"] != "unknown"))
    });
    let rules = groups[0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 20, "{groups}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        for about in ["summary", "description"] {
            let text = rule["annotations"][about].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{about} of {rule}");
        }
        assert!(rule["labels"]["severity"].is_string(), "{rule}");
        assert_eq!(
            undeclared(rule["query"].as_str().unwrap()),
            Vec::<String>::new(),
            "{rule}"
        );
    }
    wait_until("it scraped", || {
        prometheus.value("up{job=\"claude-agent\"}") == Some(1.0)
    });
    let queries = dashboard_queries();
    assert!(queries.len() > 30, "{queries:?}");
    for query in queries {
        assert_eq!(undeclared(&query), Vec::<String>::new(), "{query}");
        let answer = prometheus.query(&query).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }
    // A daemon that just answered raises no alarm.
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").unwrap();
    assert_eq!(firing["data"]["result"], serde_json::json!([]));
}
