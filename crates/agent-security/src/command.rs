//! Which command lines are understood well enough to run without asking.
//!
//! A command is approved only if all of it parses into words with no shell feature left over ([`parse`]), and
//! every program in it is called in a form from a table of known ones ([`classify`]). Whatever is not
//! understood is unknown, never safe. This keeps harmless commands from bothering anyone; it is not what
//! confines the others. Programs still read their own configuration (a repository's diff drivers and file
//! system monitor, `~/.cargo`, `RIPGREP_CONFIG_PATH`), follow a symbolic link that was made after the look at
//! it, and run the project's own code when it is built and tested: nothing here stops
//! that, and no sandbox around the child does yet. A clean environment and search path are the caller's part.

mod arguments;
mod fetchers;
mod form;
mod lexer;
mod rules;
mod table;
mod table_build;
mod table_git;

pub use fetchers::fetching;
pub use lexer::{Argv, Construct, MAX_COMMAND_BYTES, Unparsed, parse};
pub use rules::{CommandRules, MAX_RULES, RuleError};

pub(crate) use arguments::real;
use form::Effect;

/// What is known about a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandVerdict {
    /// Every part of it is a known form, or begins as the configuration allows.
    Known {
        /// Whether no part of it changes files or runs the project's code.
        read_only: bool,
    },
    /// Some part of it is not understood.
    Unknown {
        /// Which part, and why.
        reason: String,
    },
    /// A denied command is part of it.
    Denied {
        /// Which rule it falls under.
        reason: String,
    },
}

/// Judges a command line by the tables of known forms and by the configured rules. Denied rules win.
pub fn classify(cmd: &str, rules: &CommandRules) -> CommandVerdict {
    if let Some(rule) = rules.denied(cmd) {
        return CommandVerdict::Denied {
            reason: format!("the command falls under the rule `{rule}` in tools.denied_commands"),
        };
    }
    let commands = match parse(cmd) {
        Ok(commands) => commands,
        Err(unparsed) => {
            return CommandVerdict::Unknown {
                reason: unparsed.to_string(),
            };
        }
    };
    let mut read_only = true;
    for argv in &commands {
        match known(argv, rules) {
            Ok(effect) => read_only &= effect == Effect::Reads,
            Err(reason) => return CommandVerdict::Unknown { reason },
        }
    }
    CommandVerdict::Known { read_only }
}

/// The effect of one simple command, if a table or a rule knows it; else why not.
fn known(argv: &Argv, rules: &CommandRules) -> Result<Effect, String> {
    form::effect(argv, rules.workspace()).or_else(|why_not| match rules.allowed(argv) {
        Some(extra) => match extra
            .iter()
            .find_map(|word| arguments::leaves_workspace(word, rules.workspace()))
        {
            // A rule vouches for a program, not for every place it could be pointed at.
            Some(problem) => Err(problem),
            None => Ok(Effect::Changes),
        },
        None => Err(why_not),
    })
}

/// Every word of a command line that could name a file: taken apart if it can be, else split roughly.
pub(crate) fn words_named(cmd: &str) -> Vec<String> {
    let words: Vec<String> = match parse(cmd) {
        Ok(commands) => commands.iter().flat_map(|argv| argv.words().to_vec()).collect(),
        Err(_) => rules::rough_words(cmd),
    };
    let parts = words
        .iter()
        .flat_map(|word| arguments::candidates(word))
        .flatten();
    // `HEAD:file` names a file as well.
    parts
        .flat_map(|part| [Some(part), part.split_once(':').map(|(_, file)| file)])
        .flatten()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod bypass_tests;
#[cfg(test)]
mod tests;
