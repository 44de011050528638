//! Documents name only what exists.

use std::path::Path;

use super::{Findings, read};

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/operations.md",
    "docs/promises.md",
];

/// The top-level folders whose paths a document may name.
const FOLDERS: &[&str] = &[
    "crates/",
    "xtask/",
    "docs/",
    "fixtures/",
    "deploy/",
    "ui/",
    ".ci/",
    ".cargo/",
];

pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<(), String> {
    for document in DOCUMENTS {
        let path = root.join(document);
        if !path.exists() {
            findings.breaches.push(format!("{document} is missing"));
            continue;
        }
        for name in named_paths(&read(&path)?) {
            if !root.join(&name).exists() {
                findings
                    .breaches
                    .push(format!("{document} names `{name}`, which does not exist"));
            }
        }
    }
    Ok(())
}

/// Paths in back quotes or link targets that begin with a folder of the repository. A pattern (`*`, `<`) is not a path.
fn named_paths(markdown: &str) -> Vec<String> {
    markdown
        .split(['`', '(', ')', '\n'])
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .filter(|word| !word.contains([' ', '*', '<', '{', '…']))
        .map(|word| {
            word.split('#')
                .next()
                .unwrap_or(word)
                .trim_end_matches('/')
                .to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_code_and_links_and_patterns_are_not_paths() {
        let text = "See `crates/agent-core/src` and [the guide](docs/operations.md#tour); `crates/<crate>/src` is a pattern.";
        assert_eq!(named_paths(text), ["crates/agent-core/src", "docs/operations.md"]);
    }
}
