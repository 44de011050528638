//! The API key.

use std::path::{Path, PathBuf};

use crate::api_key::{MAX_KEY_BYTES, parse_api_key};
use crate::environment::Environment;
use crate::files::{self, Allow, FileFault};
use crate::problem::{Layer, Origin, Problem};
use crate::program::check_program;
use crate::secret::{REDACTED, Secret};
use crate::sections::ProductionConfig;

/// The variable that every client of the Messages API reads its key from.
pub(crate) const KEY_VARIABLE: &str = "ANTHROPIC_API_KEY";
/// The setting of the file that it can be in instead.
const KEY_FILE: &str = "api.api_key_file";
/// The program that can be asked for it instead.
const KEY_COMMAND: &str = "api.api_key_command";
/// The entry of the keyring that can hold it instead.
const KEY_KEYRING: &str = "api.api_key_keyring";

/// Where systemd puts what `LoadCredential=` and `SetCredentialEncrypted=` name.
const SYSTEMD_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// What the key is called there.
const SYSTEMD_NAME: &str = "anthropic-api-key";

const MAX_KEY_FILE: u64 = MAX_KEY_BYTES as u64;
const VALID_KEY: &str = "one line of printable ASCII characters without spaces";

/// What was found of credentials, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Credentials {
    pub(crate) api_key: Option<Secret>,
    pub(crate) source: Option<KeySource>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Where the API key comes from. Of several places the first in this order counts; keys stored with `keys add` are used where
/// none of these has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `ANTHROPIC_API_KEY`.
    Environment,
    /// The file that `api.api_key_file` names.
    File(PathBuf),
    /// The program that `api.api_key_command` names. Whoever uses the key asks it.
    Command(PathBuf),
    /// The account in the system's keyring that `api.api_key_keyring` names. Whoever uses the key asks it.
    Keyring(String),
    /// A credential that systemd gave the unit: `anthropic-api-key` in `$CREDENTIALS_DIRECTORY`.
    Systemd(PathBuf),
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => f.write_str(KEY_VARIABLE),
            Self::File(path) => write!(f, "{} ({KEY_FILE})", path.display()),
            Self::Command(program) => write!(f, "the output of {} ({KEY_COMMAND})", program.display()),
            Self::Keyring(account) => write!(f, "the keyring's entry {account} ({KEY_KEYRING})"),
            Self::Systemd(path) => write!(f, "{} (systemd)", path.display()),
        }
    }
}

/// Finds the API key.
pub(crate) fn find(
    config: &ProductionConfig,
    environment: &Environment,
    origin: impl Fn(&str) -> Origin,
) -> Credentials {
    let mut found = Credentials::default();
    let about = |key: &str, value: String, (message, valid): (String, String)| Problem {
        key: key.to_owned(),
        value: Some(crate::setting::Kind::Path.shown(&toml::Value::String(value))),
        origin: Some(origin(key)),
        message,
        valid,
    };
    let file = config.api.api_key_file.as_deref();
    let command = config.api.api_key_command.first().map(Path::new);
    let keyring = config.api.api_key_keyring.as_deref();
    if let Some(text) = environment.get(KEY_VARIABLE) {
        match parse_api_key(text) {
            Ok(key) => (found.api_key, found.source) = (Some(key), Some(KeySource::Environment)),
            Err(message) => found.problems.push(Problem {
                key: "API key".to_owned(),
                value: Some(REDACTED.to_owned()),
                origin: Some(Origin::named(Layer::Environment, KEY_VARIABLE)),
                message: message.to_owned(),
                valid: VALID_KEY.to_owned(),
            }),
        }
    } else if let Some(path) = file {
        match read_key(path) {
            Ok(key) => (found.api_key, found.source) = (Some(key), Some(KeySource::File(path.to_owned()))),
            Err(wrong) => found
                .problems
                .push(about(KEY_FILE, path.display().to_string(), wrong)),
        }
    } else if let Some(program) = command {
        match check_program(program) {
            Ok(()) => found.source = Some(KeySource::Command(program.to_owned())),
            Err((what, valid)) => {
                let wrong = (format!("names a program that {what}"), valid);
                let shown = program.display().to_string();
                found.problems.push(about(KEY_COMMAND, shown, wrong));
            }
        }
    } else if let Some(account) = keyring {
        found.source = Some(KeySource::Keyring(account.to_owned()));
    } else if let Some(folder) = environment.get(SYSTEMD_VARIABLE) {
        let path = Path::new(folder).join(SYSTEMD_NAME);
        // Units have other credentials, too; one that is not there was not meant for this.
        if path.exists() {
            match read_key(&path) {
                Ok(key) => (found.api_key, found.source) = (Some(key), Some(KeySource::Systemd(path))),
                Err((message, valid)) => found.problems.push(Problem {
                    key: "API key".to_owned(),
                    value: Some(path.display().to_string()),
                    origin: Some(Origin::named(Layer::Environment, SYSTEMD_VARIABLE)),
                    message,
                    valid,
                }),
            }
        }
    }
    // In the order in which they count.
    let places = [
        (KEY_VARIABLE, environment.get(KEY_VARIABLE).map(|_| String::new())),
        (KEY_FILE, file.map(|path| path.display().to_string())),
        (KEY_COMMAND, command.map(|path| path.display().to_string())),
        (KEY_KEYRING, keyring.map(str::to_owned)),
    ];
    let mut set = places.into_iter().filter_map(|(key, value)| Some((key, value?)));
    if let Some((counts, _)) = set.next() {
        found.warnings = set
            .map(|(key, value)| {
                let message = format!("is not used, because {counts} is set");
                about(key, value, (message, format!("either this or {counts}")))
            })
            .collect();
    }
    found
}

/// The key in the file at `path`, or what is wrong with the file and what would be right.
fn read_key(path: &Path) -> Result<Secret, (String, String)> {
    let text = files::read_text(path, MAX_KEY_FILE, Allow::Private).map_err(|fault| explain(&fault, path))?;
    parse_api_key(&text).map_err(|message| {
        (
            format!("names a file whose content {message}"),
            VALID_KEY.to_owned(),
        )
    })
}

fn explain(fault: &FileFault, path: &Path) -> (String, String) {
    (fault.to_string(), fault.valid(path))
}
