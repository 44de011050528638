use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::environment::Environment;
use crate::folders::Folders;
use crate::units::HumanDuration;

/// This installation: its identity and its folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentConfig {
    /// The version that is deployed.
    pub version: String,
    /// The source revision that was built.
    pub build_hash: String,
    /// The identity of this installation. When it is not set, one is made once and kept in the data folder.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub deployment_id: Option<Uuid>,
    /// Where sessions, the audit log and everything else that lasts is kept.
    #[schemars(with = "String")]
    pub data_directory: PathBuf,
    /// Where files are kept that may be deleted at any time. Not the system's shared temporary folder: there,
    /// another user can put links in the way.
    #[schemars(with = "String")]
    pub temp_directory: PathBuf,
    /// Install verified releases without being asked.
    pub enable_auto_updates: bool,
    /// How often a backup is made.
    pub backup_interval: HumanDuration,
}

impl DeploymentConfig {
    pub(crate) fn with_folders(folders: &Folders) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build_hash: option_env!("CLAUDE_AGENT_BUILD_HASH")
                .unwrap_or("unknown")
                .to_owned(),
            deployment_id: None,
            data_directory: folders.data.clone(),
            temp_directory: folders.temp.clone(),
            enable_auto_updates: false,
            backup_interval: HumanDuration::hours(24),
        }
    }
}

impl Default for DeploymentConfig {
    fn default() -> Self {
        Self::with_folders(&Folders::of(&Environment::from_process()))
    }
}
