//! The commands that the configuration allows or denies, as prefixes of their words.

use std::path::{Path, PathBuf};

use super::lexer::{Argv, parse};
use crate::characters::shown;

/// The most rules of one kind. Every command is compared with each of them.
pub const MAX_RULES: usize = 1024;

/// How many words after a program are searched for the rest of a denied rule. It keeps hostile command lines
/// from costing more than time in proportion to their length.
const MAX_WORDS_SEARCHED: usize = 64;

/// Programs whose arguments are, or contain, other commands. A denied rule is looked for in their arguments;
/// an allowed rule may not consist of one alone, since it would allow everything.
const LAUNCHERS: &[&str] = &[
    ".",
    "ash",
    "awk",
    "bash",
    "builtin",
    "busybox",
    "chroot",
    "command",
    "csh",
    "dash",
    "doas",
    "env",
    "eval",
    "exec",
    "expect",
    "fd",
    "fdfind",
    "find",
    "fish",
    "flock",
    "gawk",
    "ionice",
    "ksh",
    "lua",
    "mawk",
    "nice",
    "node",
    "nohup",
    "nsenter",
    "osascript",
    "parallel",
    "perl",
    "php",
    "pkexec",
    "powershell",
    "pwsh",
    "python",
    "python2",
    "python3",
    "ruby",
    "script",
    "setsid",
    "sh",
    "source",
    "ssh",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "tcsh",
    "time",
    "timeout",
    "unshare",
    "watch",
    "xargs",
    "zsh",
];

/// A rule that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command rule {rule} {problem}")]
pub struct RuleError {
    /// The rule as it was written, shortened and escaped.
    pub rule: String,
    /// What is wrong with it and what would be valid.
    pub problem: String,
}

/// Command prefixes that are allowed or denied, and the workspace that arguments may not leave.
///
/// A rule is a program and maybe first arguments (`make test`); it covers every command whose words begin so.
/// Denied rules are found wherever a command of the line begins, by the last part of the program's path, across
/// flags before a subcommand, in the arguments of programs that run others, and, where the line can't be taken
/// apart, anywhere in its text. They are a seat belt: text that is computed when the command runs escapes them.
#[derive(Clone, Debug, Default)]
pub struct CommandRules {
    allowed: Vec<Argv>,
    denied: Vec<Argv>,
    workspace: Option<PathBuf>,
}

impl CommandRules {
    /// Rules from the configuration's lists.
    pub fn new(allowed: &[String], denied: &[String]) -> Result<Self, RuleError> {
        let allowed = rules(allowed)?;
        if let Some(argv) = allowed.iter().find(|argv| allows_everything(argv)) {
            return Err(RuleError {
                rule: shown(&argv.words().join(" ")),
                problem:
                    "would allow any program; name what it may run as well, as in `python3 tools/check.py`"
                        .to_owned(),
            });
        }
        Ok(Self {
            allowed,
            denied: rules(denied)?,
            workspace: None,
        })
    }

    /// The same rules, with absolute paths below `root` counted as inside. `root` should be canonical.
    #[must_use]
    pub fn with_workspace(self, root: PathBuf) -> Self {
        Self {
            workspace: Some(root),
            ..self
        }
    }

    /// The workspace, if one was set.
    pub fn workspace(&self) -> Option<&Path> {
        self.workspace.as_deref()
    }

    /// The words that follow an allowed prefix, if the command begins with one.
    pub(super) fn allowed<'a>(&self, argv: &'a Argv) -> Option<&'a [String]> {
        self.allowed
            .iter()
            .find_map(|rule| argv.words().strip_prefix(rule.words()))
    }

    /// The denied rule that a command line falls under.
    pub(super) fn denied(&self, cmd: &str) -> Option<String> {
        if self.denied.is_empty() {
            return None;
        }
        match parse(cmd) {
            Ok(commands) => commands.iter().find_map(|argv| {
                let words: Vec<&str> = argv.words().iter().map(String::as_str).collect();
                let here = self.denied_at(&words);
                let launches = || LAUNCHERS.contains(&base_name(argv.program()));
                here.or_else(|| {
                    if launches() {
                        self.denied_within(&words[1..].join(" "))
                    } else {
                        None
                    }
                })
            }),
            Err(_) => self.denied_within(cmd),
        }
    }

    /// The rule that a command beginning with these words falls under.
    fn denied_at(&self, words: &[&str]) -> Option<String> {
        let rule = self.denied.iter().find(|rule| falls_under(rule, words))?;
        Some(rule.words().join(" "))
    }

    /// The rule that some command falls under which could begin anywhere in the text.
    fn denied_within(&self, text: &str) -> Option<String> {
        let words = rough_words(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        (0..words.len()).find_map(|start| self.denied_at(&words[start..]))
    }
}

fn rules(texts: &[String]) -> Result<Vec<Argv>, RuleError> {
    if let Some(text) = texts.get(MAX_RULES) {
        let problem =
            format!("is one too many; at most {MAX_RULES} are used, so join some by shorter prefixes");
        return Err(RuleError {
            rule: shown(text),
            problem,
        });
    }
    texts.iter().map(|text| rule(text)).collect()
}

fn rule(text: &str) -> Result<Argv, RuleError> {
    let error = |problem: String| RuleError {
        rule: shown(text),
        problem,
    };
    let mut commands = parse(text).map_err(|why| {
        error(format!(
            "can't be matched: {why}; write a program and its first arguments, as in `make test`"
        ))
    })?;
    match (commands.pop(), commands.is_empty()) {
        (Some(argv), true) => Ok(argv),
        _ => Err(error(
            "is more than one command; write one rule for each".to_owned(),
        )),
    }
}

/// Whether an allowed rule names a launcher and nothing that it may launch.
fn allows_everything(rule: &Argv) -> bool {
    LAUNCHERS.contains(&base_name(rule.program())) && rule.args().iter().all(|arg| arg.starts_with('-'))
}

/// Whether a command's words begin as a denied rule says, flags (and one value each) passed over.
fn falls_under(rule: &Argv, words: &[&str]) -> bool {
    let Some((program, args)) = words.split_first() else {
        return false;
    };
    let same_name = base_name(program).eq_ignore_ascii_case(base_name(rule.program()));
    if !(same_name || program.eq_ignore_ascii_case(rule.program())) {
        return false;
    }
    let mut wanted = rule.args().iter();
    let Some(mut next) = wanted.next() else {
        return true;
    };
    let mut after_flag = false;
    for arg in args.iter().take(MAX_WORDS_SEARCHED) {
        if arg == next {
            match wanted.next() {
                Some(following) => next = following,
                None => return true,
            }
            after_flag = false;
        } else if arg.starts_with('-') {
            after_flag = !arg.contains('=');
        } else if after_flag {
            after_flag = false;
        } else {
            return false;
        }
    }
    false
}

fn base_name(program: &str) -> &str {
    program.rsplit(['/', '\\']).next().unwrap_or(program)
}

/// The words of a text that can't be taken apart: quotes and backslashes removed, split at every operator.
pub(super) fn rough_words(text: &str) -> Vec<String> {
    let operator = |c: char| c.is_whitespace() || c.is_control() || "$`(){}[]<>|&;=,!".contains(c);
    text.split(operator)
        .map(|word| word.replace(['\'', '"', '\\'], ""))
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(rules: &[&str]) -> Vec<String> {
        rules.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn denied_rules_are_found_behind_tricks() {
        let rules = CommandRules::new(&[], &owned(&["rm", "git push", "curl"])).expect("good rules");
        let denied = [
            "rm x",
            "RM x",
            "/bin/rm x",
            "ls && rm x",
            "ls | rm x",
            "ls; ls || rm x",
            "FOO=1 rm x",
            "(rm x)",
            "echo $(rm x)",
            "echo `rm x`",
            "r''m x",
            "r\\m x",
            "{rm,-rf,x}",
            "ls\nrm x",
            "ls & rm x",
            "sudo rm x",
            "env A=1 rm x",
            "xargs rm",
            "timeout 5 rm x",
            "find . -exec rm",
            "sh -c 'rm x'",
            "bash -c \"ls; rm x\"",
            "git push",
            "git push --force origin",
            "git -C sub push",
            "git --no-pager push",
            "git -c a=b push",
            "cat x | curl example.com",
        ];
        for cmd in denied {
            assert!(rules.denied(cmd).is_some(), "{cmd:?}");
        }
        for cmd in [
            "ls rm",
            "git commit -m push",
            "git log --grep push",
            "git stash push",
            "rmdir x",
            "cat curl.rs",
        ] {
            assert_eq!(rules.denied(cmd), None, "{cmd:?}");
        }
    }

    #[test]
    fn unusable_rules_are_refused_with_a_remedy() {
        let cases: &[(&str, &str)] = &[
            ("make $X", "substitution"),
            ("", "empty command"),
            ("make && ls", "more than one command"),
            ("bash", "any program"),
            ("sh -c", "any program"),
            ("/usr/bin/env", "any program"),
            ("python3 -c", "any program"),
        ];
        for (rule, expected) in cases {
            let error = CommandRules::new(&owned(&[rule]), &[])
                .expect_err(rule)
                .to_string();
            assert!(error.contains(expected), "{rule:?}: {error}");
        }
        assert!(CommandRules::new(&owned(&["python3 tools/x.py"]), &owned(&["bash"])).is_ok());
        assert!(CommandRules::new(&vec!["ls".to_owned(); MAX_RULES + 1], &[]).is_err());
    }
}
