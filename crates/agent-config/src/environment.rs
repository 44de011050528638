//! The process environment as a value. This is the only place that reads it: everything else is given an
//! [`Environment`], so that tests and embedders decide what is in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Environment variables by name. It never prints their values: some are credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Variables whose value is not UTF-8. They are kept by name, so that one that matters is reported, not lost.
    unreadable: Vec<String>,
}

impl Environment {
    /// The environment of this process, as it is now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn from_process() -> Self {
        Self::from_os_pairs(std::env::vars_os())
    }

    /// An environment of exactly these variables, which need not be UTF-8.
    pub fn from_os_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in pairs {
            // A name that is not UTF-8 is none that we look for.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(environment.variables.insert(name, value)),
                Err(_) => environment.unreadable.push(name),
            }
        }
        environment
    }

    /// An environment of exactly these variables.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables,
            unreadable: Vec::new(),
        }
    }

    /// The value of a variable. An empty one counts as not set, as in most shells' `${NAME:-default}`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The variables whose name starts with `prefix`, in the order of their names. Empty values are included.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(move |(name, _)| name.starts_with(prefix))
    }

    /// The names of variables whose value is not UTF-8.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment")
            .field(&self.variables.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_printed() {
        let environment = Environment::from_pairs([("ANTHROPIC_API_KEY", "sk-ant-canary")]);
        let printed = format!("{environment:?}");
        assert!(
            printed.contains("ANTHROPIC_API_KEY") && !printed.contains("canary"),
            "{printed}"
        );
    }

    #[test]
    fn the_process_environment_is_read() {
        assert!(Environment::from_process().get("PATH").is_some());
    }

    #[test]
    fn empty_means_not_set() {
        assert_eq!(Environment::from_pairs([("A", "")]).get("A"), None);
    }
}
