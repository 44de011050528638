//! The platform's own folders for configuration and data, found from an [`Environment`] alone.

use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// The name of our folder within each of the platform's.
const NAME: &str = "claude-agent";
/// The name of a configuration file within its folder.
const CONFIG_FILE: &str = "config.toml";
/// Where a project keeps its settings, below its root.
const PROJECT_FOLDER: &str = ".claude-agent";

/// Where the configuration, the data and the temporary files of one user are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The folder of the user's configuration file.
    pub config: PathBuf,
    /// The folder for everything that lasts.
    pub data: PathBuf,
    /// The folder for what may be deleted at any time. It belongs to the user alone.
    pub temp: PathBuf,
}

impl Folders {
    /// The folders of the user whose environment this is. A user without a home gets the machine-wide folders.
    pub fn of(environment: &Environment) -> Self {
        let folder = |name: &str| {
            environment
                .get(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if cfg!(windows) {
            let local = folder("LOCALAPPDATA").unwrap_or_else(|| PathBuf::from(r"C:\ProgramData"));
            let roaming = folder("APPDATA").unwrap_or_else(|| local.clone());
            return Self {
                config: roaming.join(NAME),
                data: local.join(NAME).join("data"),
                temp: local.join(NAME).join("temp"),
            };
        }
        let home = folder("HOME");
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        if cfg!(target_os = "macos") {
            let data = below_home("Library/Application Support")
                .unwrap_or_else(|| "/Library/Application Support".into());
            let cache = below_home("Library/Caches").unwrap_or_else(|| "/Library/Caches".into());
            return Self {
                config: data.join(NAME),
                data: data.join(NAME).join("data"),
                temp: cache.join(NAME).join("temp"),
            };
        }
        // XDG base directories. A relative path in one of the variables is to be ignored, says their standard.
        let config = folder("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let data = folder("XDG_DATA_HOME").or_else(|| below_home(".local/share"));
        let cache = folder("XDG_CACHE_HOME").or_else(|| below_home(".cache"));
        Self {
            config: config.unwrap_or_else(|| "/etc".into()).join(NAME),
            data: data.unwrap_or_else(|| "/var/lib".into()).join(NAME),
            temp: cache
                .unwrap_or_else(|| "/var/cache".into())
                .join(NAME)
                .join("temp"),
        }
    }

    /// The user's configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join(CONFIG_FILE)
    }
}

/// The configuration file for all users of this machine.
pub(crate) fn system_config_file(environment: &Environment) -> PathBuf {
    if cfg!(windows) {
        let base = environment.get("PROGRAMDATA").unwrap_or(r"C:\ProgramData");
        return Path::new(base).join(NAME).join(CONFIG_FILE);
    }
    Path::new("/etc").join(NAME).join(CONFIG_FILE)
}

/// The configuration file of a project, given the folder the agent works in.
pub(crate) fn project_config_file(workspace: &Path) -> PathBuf {
    workspace.join(PROJECT_FOLDER).join(CONFIG_FILE)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_standard_variables_decide() {
        let home = Environment::from_pairs([("HOME", "/home/ada")]);
        let folders = Folders::of(&home);
        assert_eq!(
            folders.config_file(),
            Path::new("/home/ada/.config/claude-agent/config.toml")
        );
        assert_eq!(folders.data, Path::new("/home/ada/.local/share/claude-agent"));
        assert_eq!(folders.temp, Path::new("/home/ada/.cache/claude-agent/temp"));

        let xdg = [
            ("HOME", "/home/ada"),
            ("XDG_DATA_HOME", "/data"),
            ("XDG_CONFIG_HOME", "relative"),
        ];
        let folders = Folders::of(&Environment::from_pairs(xdg));
        assert_eq!(folders.data, Path::new("/data/claude-agent"));
        assert_eq!(folders.config, Path::new("/home/ada/.config/claude-agent"));
    }

    #[test]
    fn without_a_home_every_folder_is_still_absolute() {
        let folders = Folders::of(&Environment::default());
        for folder in [&folders.config, &folders.data, &folders.temp] {
            assert!(folder.is_absolute(), "{}", folder.display());
        }
    }
}
