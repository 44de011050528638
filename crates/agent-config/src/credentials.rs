//! The API key.

use std::path::Path;

use crate::environment::Environment;
use crate::files::{self, Allow, FileFault};
use crate::problem::{Layer, Origin, Problem};
use crate::secret::{REDACTED, Secret};
use crate::sections::ProductionConfig;

/// The variable that every client of the Messages API reads its key from.
pub(crate) const KEY_VARIABLE: &str = "ANTHROPIC_API_KEY";
/// The setting of the file that it can be in instead.
const KEY_FILE: &str = "api.api_key_file";

/// Keys are about a hundred characters long; a certificate or a whole `.env` file is more, and was not meant.
const MAX_KEY_FILE: u64 = 4096;
const VALID_KEY: &str = "one line of printable ASCII characters without spaces";

/// What was found of credentials, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Credentials {
    pub(crate) api_key: Option<Secret>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warning: Option<Problem>,
}

/// Finds the API key.
pub(crate) fn find(
    config: &ProductionConfig,
    environment: &Environment,
    origin: impl Fn(&str) -> Origin,
) -> Credentials {
    let mut found = Credentials::default();
    let about_file = |key: &str, path: &Path, message: String, valid: String| Problem {
        key: key.to_owned(),
        value: Some(crate::setting::Kind::Path.shown(&toml::Value::String(path.display().to_string()))),
        origin: Some(origin(key)),
        message,
        valid,
    };

    let file = config.api.api_key_file.as_deref();
    if let Some(text) = environment.get(KEY_VARIABLE) {
        match parse_key(text) {
            Ok(key) => found.api_key = Some(key),
            Err(message) => found.problems.push(Problem {
                key: "API key".to_owned(),
                value: Some(REDACTED.to_owned()),
                origin: Some(Origin::named(Layer::Environment, KEY_VARIABLE)),
                message,
                valid: VALID_KEY.to_owned(),
            }),
        }
        found.warning = file.map(|path| {
            let message = format!("is not read, because {KEY_VARIABLE} is set");
            about_file(
                KEY_FILE,
                path,
                message,
                format!("either this file or {KEY_VARIABLE}"),
            )
        });
    } else if let Some(path) = file {
        let read = files::read_text(path, MAX_KEY_FILE, Allow::Private);
        match read.map_err(|fault| explain(&fault, path)).and_then(|text| {
            parse_key(&text).map_err(|message| {
                (
                    format!("names a file whose content {message}"),
                    VALID_KEY.to_owned(),
                )
            })
        }) {
            Ok(key) => found.api_key = Some(key),
            Err((message, valid)) => found.problems.push(about_file(KEY_FILE, path, message, valid)),
        }
    }
    found
}

fn explain(fault: &FileFault, path: &Path) -> (String, String) {
    (fault.to_string(), fault.valid(path))
}

/// A key goes into a header: anything but visible ASCII would be refused there, with a worse message.
fn parse_key(text: &str) -> Result<Secret, String> {
    let key = text.trim();
    if key.is_empty() {
        Err("is empty".to_owned())
    } else if key.len() as u64 > MAX_KEY_FILE {
        Err("is too long for a key".to_owned())
    } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("has characters in it that no key has".to_owned())
    } else {
        Ok(Secret::from(key))
    }
}
