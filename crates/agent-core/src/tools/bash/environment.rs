//! What commands see of the agent's environment: an allowlist, because secrets have no common name.

use std::collections::BTreeMap;

/// Passed on when set. Places of toolchains are among them, or builds would not find their compilers.
const PASSED: [&str; 24] = [
    "CARGO_HOME",
    "GOPATH",
    "GOROOT",
    "HOME",
    "JAVA_HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NVM_DIR",
    "PATH",
    "PYENV_ROOT",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

/// Set always: nobody watches, so nothing may page, colour, or wait for an answer. And looking must stay looking: a
/// repository's own configuration could make even `git status` start a program (its file system monitor), and writing
/// the index back would run a hook. What is set here wins over that configuration.
const SET: [(&str, &str); 9] = [
    ("CI", "true"),
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
    ("GIT_CONFIG_VALUE_0", "false"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("PAGER", "cat"),
    ("TERM", "dumb"),
];

/// Where programs are when the agent itself doesn't know.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(super) fn clean(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let passes = |name: &str| PASSED.contains(&name) || name.starts_with("LC_");
    let mut clean: BTreeMap<String, String> = environment
        .iter()
        .filter(|(name, value)| passes(name) && !is_secret(name) && !value.contains('\0'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    clean
        .entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
    clean.extend(SET.map(|(name, value)| (name.to_owned(), value.to_owned())));
    clean
}

/// A second line behind the allowlist, for whoever adds to it (`LC_…` is open already).
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.starts_with("ANTHROPIC_")
        || ["_KEY", "_TOKEN", "_SECRET", "PASSWORD"]
            .iter()
            .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_harmless_passes() {
        let given = [
            ("ANTHROPIC_API_KEY", "no"),
            ("AWS_SECRET_ACCESS_KEY", "no"),
            ("CI", "no"),
            ("GITHUB_TOKEN", "no"),
            ("HOME", "/home/u"),
            ("LC_ALL", "C.UTF-8"),
            ("LC_API_KEY", "no"),
            ("LD_PRELOAD", "no"),
            ("BASH_ENV", "no"),
            ("SSH_AUTH_SOCK", "no"),
            ("TERM", "no"),
        ];
        let given = given
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let clean = clean(&given);
        let names: Vec<&str> = clean.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "CI",
                "GIT_CONFIG_COUNT",
                "GIT_CONFIG_KEY_0",
                "GIT_CONFIG_VALUE_0",
                "GIT_OPTIONAL_LOCKS",
                "GIT_PAGER",
                "GIT_TERMINAL_PROMPT",
                "HOME",
                "LC_ALL",
                "PAGER",
                "PATH",
                "TERM"
            ]
        );
        assert!(clean.values().all(|value| value != "no"));
        assert_eq!(clean["PATH"], DEFAULT_PATH);
    }
}
