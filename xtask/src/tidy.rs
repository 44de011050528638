//! The repository's own rules, checked as a test and by `cargo xtask tidy`. Each finding names the file and what to do.

mod documents;
mod edges;
mod files;

use std::path::Path;

use crate::tools;

/// Prints every finding; an error when one of them must be mended.
pub(crate) fn run() -> Result<(), String> {
    let findings = check(&tools::root())?;
    for notice in &findings.notices {
        println!("notice: {notice}");
    }
    for breach in &findings.breaches {
        println!("breach: {breach}");
    }
    if findings.breaches.is_empty() {
        println!("tidy: nothing to mend");
        Ok(())
    } else {
        Err(format!("{} things to mend", findings.breaches.len()))
    }
}

/// What was found: breaches fail the test, notices are only told.
#[derive(Default)]
struct Findings {
    breaches: Vec<String>,
    notices: Vec<String>,
}

fn check(root: &Path) -> Result<Findings, String> {
    let mut findings = Findings::default();
    edges::check(root, &mut findings)?;
    files::check(root, &mut findings)?;
    documents::check(root, &mut findings)?;
    Ok(findings)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_keeps_its_own_rules() {
        let findings = super::check(&crate::tools::root()).expect("the repository is readable");
        assert!(findings.breaches.is_empty(), "\n{}", findings.breaches.join("\n"));
    }
}
