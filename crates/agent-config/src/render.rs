//! The configuration as text: whole, as it is printed or saved, and as a commented template.

use std::path::Path;

use serde_json::Value as Json;
use toml::Value;

use crate::files::{self, Existing};
use crate::keys::{KEYS, Key};
use crate::problem::ConfigError;
use crate::reference;
use crate::sections::ProductionConfig;

const SAVED_HEADER: &str = "# Written by claude-agent. docs/configuration.md explains every key.\n";
const TEMPLATE_HEADER: &str = "\
# The configuration of claude-agent. Every line below is a default: remove the `#` in front of a key to change it.
# `claude-agent config check` tells what is wrong with this file, with lines.
";
/// Lines of the template are wrapped here.
const WIDTH: usize = 100;

impl ProductionConfig {
    /// Every setting as TOML, without secrets: fit to be printed. What is not set is left out.
    pub fn to_toml(&self) -> String {
        document(|key| key.value(self))
    }

    /// Every setting as JSON, without secrets: fit to be printed.
    pub fn to_json(&self) -> Json {
        serde_json::to_value(self)
            .expect("every section has only texts, numbers and lists; validation refuses other paths")
    }

    /// Writes the configuration to a file that only its owner may read (mode 0600). The file is replaced in one step:
    /// a crash leaves the old one or the new one. Missing folders are made.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if the configuration could not be loaded again; [`ConfigError::Write`] if the file
    /// can't be written.
    pub fn save_to_file(&self, path: &Path) -> Result<(), ConfigError> {
        self.validate()?;
        let text = format!("{SAVED_HEADER}\n{}", document(|key| key.exposed(self)));
        files::write_private(path, &text, Existing::Replace)
    }
}

/// A TOML document of the values that `value` gives for each key.
fn document(value: impl Fn(&Key) -> Option<Value>) -> String {
    let mut text = String::new();
    let mut table = "";
    for key in KEYS {
        let Some(value) = value(key) else { continue };
        let (in_table, name) = key.split();
        if in_table != table {
            table = in_table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

/// A configuration file with every key, its meaning and its default, all commented out: what `config init` writes.
pub fn template() -> String {
    let schema = reference::json_schema();
    let defaults = reference::defaults();
    let mut text = TEMPLATE_HEADER.to_owned();
    let mut table = "";
    for key in KEYS {
        let (in_table, name) = key.split();
        if in_table != table {
            table = in_table;
            text.push('\n');
            comment(&mut text, &reference::description(&schema, table));
            text.push_str(&format!("[{table}]\n"));
        }
        text.push('\n');
        comment(&mut text, &reference::description(&schema, key.name));
        comment(&mut text, &format!("Valid: {}.", key.valid(&defaults)));
        match reference::fixed_default(key, &defaults) {
            Ok(value) => text.push_str(&format!("#{name} = {value}\n")),
            Err(why) => comment(&mut text, &format!("`{name}` is {why} by default.")),
        }
    }
    text
}

/// Writes the [`template`] to a file that only its owner may read. A file that is there already is kept, unless
/// `replace` is true. Missing folders are made.
///
/// # Errors
/// [`ConfigError::Write`]; its source has the kind [`std::io::ErrorKind::AlreadyExists`] where a file was kept.
pub fn write_template(path: &Path, replace: bool) -> Result<(), ConfigError> {
    let existing = if replace {
        Existing::Replace
    } else {
        Existing::Keep
    };
    files::write_private(path, &template(), existing)
}

/// Adds a text as comment lines that are no wider than [`WIDTH`].
fn comment(text: &mut String, words: &str) {
    let mut width = usize::MAX;
    for word in words.split_whitespace() {
        if width.saturating_add(word.len()) > WIDTH {
            if width != usize::MAX {
                text.push('\n');
            }
            text.push('#');
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + word.len();
    }
    text.push('\n');
}
