//! The identity of an installation: made once, kept in the data folder.

use std::path::Path;

use uuid::Uuid;

use crate::files::{self, Allow, Existing, FileFault};
use crate::problem::{ConfigError, Layer, Origin, Problem, Problems};
use crate::sections::DeploymentConfig;

/// The file in the data folder.
const FILE: &str = "deployment-id";
/// A UUID has 36 characters, and the file a line break.
const MAX_FILE: u64 = 64;

/// The identity of this installation: the one that is configured, or else the one in the data folder, which is made
/// if there is none yet. Two processes that start at once get the same one.
///
/// # Errors
/// [`ConfigError::Write`] if the data folder can't be written, [`ConfigError::Invalid`] if the file holds no UUID or
/// can't be read. A new identity is not made in its place: what was recorded under the old one would be orphaned.
pub fn deployment_id(deployment: &DeploymentConfig) -> Result<Uuid, ConfigError> {
    if let Some(id) = deployment.deployment_id {
        return Ok(id);
    }
    let path = deployment.data_directory.join(FILE);
    if let Some(id) = read(&path)? {
        return Ok(id);
    }
    let id = Uuid::new_v4();
    match files::write_private(&path, &format!("{id}\n"), Existing::Keep) {
        Ok(()) => Ok(id),
        // Another process was faster, or there is a reason why it can't be written.
        Err(error) => read(&path)?.ok_or(error),
    }
}

fn read(path: &Path) -> Result<Option<Uuid>, ConfigError> {
    let wrong = |message: String, valid: String| {
        let mut problems = Problems::default();
        let origin = Some(Origin::file(Layer::Default, path));
        problems.push(Problem {
            key: "deployment.deployment_id".to_owned(),
            value: None,
            origin,
            message,
            valid,
        });
        ConfigError::Invalid(problems)
    };
    match files::read_text(path, MAX_FILE, Allow::Regular) {
        Ok(text) => match text.trim().parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(wrong(
                "is not a UUID".to_owned(),
                "a UUID; delete the file for a new identity".to_owned(),
            )),
        },
        Err(FileFault::Missing) => Ok(None),
        Err(fault) => Err(wrong(fault.to_string(), fault.valid(path))),
    }
}
