//! The edges between our crates against the table in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Findings, read};

/// Crate name → the crates that it may depend on.
type Allowed = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<(), String> {
    let allowed = table(&read(&root.join("ARCHITECTURE.md"))?);
    let actual = manifests(root)?;
    compare(&allowed, &actual, findings);
    Ok(())
}

/// Reads the rows `| crate | may depend on | … |`. A name in the second column may leave out `agent-`;
/// "all above" means every crate of an earlier row.
fn table(markdown: &str) -> Allowed {
    let mut allowed = Allowed::new();
    for line in markdown.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, may, _, ..] = cells.as_slice() else {
            continue;
        };
        let Some(name) = name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
            continue;
        };
        let names = match *may {
            "–" => BTreeSet::new(),
            "all above" => allowed.keys().cloned().collect(),
            list => list
                .split(',')
                .map(|short| full_name(short.trim().trim_matches('`')))
                .collect(),
        };
        allowed.insert(name.to_owned(), names);
    }
    allowed
}

fn full_name(short: &str) -> String {
    if short.starts_with("agent-") || short == "claude-agent" {
        short.to_owned()
    } else {
        format!("agent-{short}")
    }
}

/// What each manifest really names, leaving out dev-dependencies: tests may look at everything.
fn manifests(root: &Path) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut actual = BTreeMap::new();
    let folder = root.join("crates");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path().join("Cargo.toml"))
        .collect();
    paths.push(root.join("xtask/Cargo.toml"));
    for path in paths.iter().filter(|path| path.exists()) {
        let manifest: toml::Table = read(path)?
            .parse()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let name = manifest["package"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let dependencies = ["dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| manifest.get(*section)?.as_table())
            .flat_map(|section| section.keys())
            .filter(|dependency| dependency.starts_with("agent-") || *dependency == "claude-agent")
            .cloned()
            .collect();
        actual.insert(name, dependencies);
    }
    Ok(actual)
}

fn compare(allowed: &Allowed, actual: &BTreeMap<String, BTreeSet<String>>, findings: &mut Findings) {
    for (name, dependencies) in actual {
        let Some(may) = allowed.get(name) else {
            findings.breaches.push(format!(
                "crate `{name}` has no row in the crate table of ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in dependencies.difference(may) {
            findings.breaches.push(format!(
                "`{name}` depends on `{dependency}`, which its row in ARCHITECTURE.md does not allow; \
                 pass the value in as a parameter, or change the table in a commit of its own"
            ));
        }
    }
    for name in allowed.keys().filter(|name| !actual.contains_key(*name)) {
        findings.breaches.push(format!(
            "ARCHITECTURE.md has a row for `{name}`, which does not exist"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
| crate | may depend on | what it is |
| --- | --- | --- |
| `agent-config` | – | sections |
| `agent-claude` | config | client |
| `claude-agent` | all above | binary |
";

    fn breaches(actual: &[(&str, &[&str])]) -> Vec<String> {
        let actual = actual
            .iter()
            .map(|(name, on)| ((*name).to_owned(), on.iter().map(|on| (*on).to_owned()).collect()))
            .collect();
        let mut findings = Findings::default();
        compare(&table(TABLE), &actual, &mut findings);
        findings.breaches
    }

    #[test]
    fn edges_of_the_table_are_allowed_and_no_others() {
        let good: &[(&str, &[&str])] = &[
            ("agent-config", &[]),
            ("agent-claude", &["agent-config"]),
            ("claude-agent", &["agent-claude", "agent-config"]),
        ];
        assert_eq!(breaches(good), Vec::<String>::new());

        let upward: &[(&str, &[&str])] = &[
            ("agent-config", &["agent-claude"]),
            ("agent-claude", &[]),
            ("claude-agent", &[]),
        ];
        assert!(breaches(upward)[0].contains("`agent-config` depends on `agent-claude`"));
    }

    #[test]
    fn rows_and_crates_must_match() {
        let found = breaches(&[("agent-config", &[]), ("agent-extra", &[])]);
        assert!(found.iter().any(|text| text.contains("`agent-extra` has no row")));
        assert!(
            found
                .iter()
                .any(|text| text.contains("`agent-claude`, which does not exist"))
        );
    }
}
