//! Merges the layers into one configuration and reports everything that is wrong with them.

use std::collections::HashMap;
use std::path::Path;

use toml::Value;

use crate::checks;
use crate::choice::DeploymentEnvironment;
use crate::credentials::{self, KeySource};
use crate::document::Leaf;
use crate::environment::Environment;
use crate::folders::Folders;
use crate::keys::{self, KEYS, Key};
use crate::layers::{self, Sources};
use crate::problem::{ConfigError, Layer, Origin, Problem, Problems};
use crate::production;
use crate::profile;
use crate::secret::Secret;
use crate::sections::ProductionConfig;
use crate::setting;
use crate::unused;

/// A valid configuration, and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: ProductionConfig,
    /// Where each value was set.
    pub origins: Origins,
    /// The API key, from the first of the places of [`KeySource`] that has one.
    pub api_key: Option<Secret>,
    /// Where it was found.
    pub api_key_source: Option<KeySource>,
    /// What works, but perhaps not as it was meant.
    pub warnings: Vec<Problem>,
}

/// A configuration as far as it could be read, with everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The values that could be taken. With problems there are, it is for looking at and not for running with.
    pub config: ProductionConfig,
    /// Where each value was set.
    pub origins: Origins,
    /// What is wrong, in the order of the layers.
    pub problems: Problems,
    /// What works, but perhaps not as it was meant.
    pub warnings: Vec<Problem>,
    api_key: Option<Secret>,
    api_key_source: Option<KeySource>,
}

/// Loads the configuration from all its layers.
///
/// Reads at most five small files and takes well below a millisecond. It blocks, and is meant for start-up and
/// reloads.
///
/// # Errors
/// [`ConfigError::Invalid`] with every problem of every layer, those of values that a later layer overrides included.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let Examined {
        config,
        origins,
        problems,
        warnings,
        api_key,
        api_key_source,
    } = examine(sources);
    problems.into_result(Loaded {
        config,
        origins,
        api_key,
        api_key_source,
        warnings,
    })
}

/// Looks at the configuration of all layers as [`load`] does, and gives what could be taken from a wrong one as well, so that
/// it can be checked further.
pub fn examine(sources: &Sources) -> Examined {
    let mut merge = Merge::of(sources, &Folders::of(&sources.environment));
    let credentials = credentials::find(&merge.config, &sources.environment, |key| merge.origin(key));
    let exposed = production::exposed_files(&merge.config, |key| merge.origin(key));
    for problem in credentials.problems.into_iter().chain(exposed) {
        merge.problems.push(problem);
    }
    merge.problems.sort();
    let mut warnings = merge.warnings();
    warnings.extend(credentials.warnings);
    let Merge {
        config,
        set,
        problems,
        ..
    } = merge;
    Examined {
        origins: Origins::collect(&config, set),
        config,
        problems,
        warnings,
        api_key: credentials.api_key,
        api_key_source: credentials.source,
    }
}

impl ProductionConfig {
    /// Loads a configuration from one file, over the defaults and the profile of its environment. Environment
    /// variables do not count; [`load`] takes them in.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem, each with its line; also when the file does not exist.
    pub fn load_from_file(path: &Path) -> Result<Self, ConfigError> {
        let sources = Sources {
            explicit_file: Some(path.to_owned()),
            ..Sources::default()
        };
        let mut merge = Merge::of(&sources, &Folders::of(&Environment::from_process()));
        merge.problems.sort();
        merge.problems.into_result(merge.config)
    }
}

/// A configuration that layers are laid over.
struct Merge {
    config: ProductionConfig,
    /// Where each key that is not at its default was set.
    set: HashMap<&'static str, Origin>,
    /// Values are tried here first, so that a wrong one leaves `config` as it was.
    probe: ProductionConfig,
    problems: Problems,
}

impl Merge {
    /// Everything that `sources` set, laid over the defaults and checked.
    fn of(sources: &Sources, folders: &Folders) -> Self {
        let mut problems = Problems::default();
        let leaves = layers::gather(sources, &mut problems);
        let config = ProductionConfig::with_folders(folders);
        let mut merge = Self {
            probe: config.clone(),
            config,
            set: HashMap::new(),
            problems,
        };
        merge.all(leaves);
        merge.combinations();
        merge
    }

    /// Lays the profile and then `leaves`, the weakest first, over the defaults.
    fn all(&mut self, leaves: Vec<Leaf>) {
        // The last layer that may choose the environment decides which profile is laid under all of them.
        let chosen = leaves
            .iter()
            .filter(|leaf| leaf.key.name == "environment" && leaf.origin.layer != Layer::Project)
            .filter_map(|leaf| setting::read(leaf.value.clone()).ok())
            .next_back();
        let environment: DeploymentEnvironment = chosen.unwrap_or(self.config.environment);
        for leaf in profile::leaves(environment).into_iter().chain(leaves) {
            self.add(leaf);
        }
    }

    fn add(&mut self, leaf: Leaf) {
        let Leaf { key, value, origin } = leaf;
        if origin.layer == Layer::Project && !keys::project_may_set(key.name) {
            return self.refuse(
                key,
                &value,
                origin,
                "may not be set by a project's file".to_owned(),
                Some(way_out(key)),
            );
        }
        let sum = if keys::adds_up(key.name) {
            self.sum(key, value.clone())
        } else {
            value.clone()
        };
        // Every value is checked, also one that a later layer overrides: a broken file stays broken unnoticed otherwise.
        if let Err(message) = key.set(&mut self.probe, sum.clone()) {
            return self.refuse(key, &value, origin, message, None);
        }
        if origin.layer == Layer::Project && self.raises_budget() {
            let valid = "no more than the user's own configuration allows".to_owned();
            return self.refuse(
                key,
                &value,
                origin,
                "is raised by a project's file".to_owned(),
                Some(valid),
            );
        }
        match key.set(&mut self.config, sum) {
            Ok(()) => drop(self.set.insert(key.name, origin)),
            Err(message) => self.refuse(key, &value, origin, message, None),
        }
    }

    /// What is there already, followed by what is new.
    fn sum(&self, key: &Key, value: Value) -> Value {
        match (key.exposed(&self.config), value) {
            (Some(Value::Array(mut all)), Value::Array(new)) => {
                for entry in new {
                    if !all.contains(&entry) {
                        all.push(entry);
                    }
                }
                Value::Array(all)
            }
            (_, value) => value,
        }
    }

    fn raises_budget(&self) -> bool {
        let (before, after) = (self.config.agent.max_budget_usd, self.probe.agent.max_budget_usd);
        matches!((before, after), (Some(before), Some(after)) if after > before)
    }

    fn refuse(&mut self, key: &Key, value: &Value, origin: Origin, message: String, valid: Option<String>) {
        self.problems.push(Problem {
            key: key.name.to_owned(),
            value: Some(key.kind.shown(value)),
            origin: Some(origin),
            message,
            valid: valid.unwrap_or_else(|| key.valid(&self.config)),
        });
    }

    fn combinations(&mut self) {
        for finding in checks::refusals(&self.config) {
            if !finding.follows_from(&self.problems) {
                let problem = finding.into_problem(&self.config, |key| Some(self.origin(key)));
                self.problems.push(problem);
            }
        }
    }

    fn warnings(&self) -> Vec<Problem> {
        let warn =
            |finding: checks::Finding| finding.into_problem(&self.config, |key| Some(self.origin(key)));
        let doubts = checks::doubts(&self.config).into_iter().map(warn);
        doubts.chain(self.unused()).collect()
    }

    /// What somebody set and nothing acts on. Flags are the program's own doing.
    fn unused(&self) -> impl Iterator<Item = Problem> {
        let chosen = |layer| {
            matches!(
                layer,
                Layer::System | Layer::User | Layer::Project | Layer::Environment
            )
        };
        KEYS.iter()
            .filter(|key| unused::is_unused(key.name))
            .filter_map(move |key| {
                let origin = self.set.get(key.name).filter(|origin| chosen(origin.layer))?;
                Some(Problem {
                    key: key.name.to_owned(),
                    value: key.value(&self.config).map(|value| key.kind.shown(&value)),
                    origin: Some(origin.clone()),
                    message: "is not used by this version".to_owned(),
                    valid: "leave it, it does nothing yet".to_owned(),
                })
            })
    }

    fn origin(&self, key: &str) -> Origin {
        self.set
            .get(key)
            .cloned()
            .unwrap_or_else(|| Origin::layer(Layer::Default))
    }
}

/// Where a key can be set that a project's file may not set.
fn way_out(key: &Key) -> String {
    let variable = key.variable();
    format!(
        "your own file, {variable} or the command line; a project's file may set [agent] (but not permission_mode), \
         [tools] (but not allowed_commands and allowed_hosts) and logging.level"
    )
}

/// Where every value of a configuration was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    entries: Vec<OriginEntry>,
}

/// One key of a configuration with its value and origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginEntry {
    /// The key, as `section.key`.
    pub key: &'static str,
    /// The value in TOML; secrets are redacted. `None` where nothing is set.
    pub value: Option<String>,
    /// Where it was set. A list that adds up over the layers has the last one that added to it.
    pub origin: Origin,
}

impl Origins {
    fn collect(config: &ProductionConfig, mut set: HashMap<&'static str, Origin>) -> Self {
        let entry = |key: &Key| OriginEntry {
            key: key.name,
            value: key.value(config).map(|value| value.to_string()),
            origin: set
                .remove(key.name)
                .unwrap_or_else(|| Origin::layer(Layer::Default)),
        };
        Self {
            entries: KEYS.iter().map(entry).collect(),
        }
    }

    /// Where the key was set. A key that does not exist has the built-in default's origin.
    pub fn of(&self, key: &str) -> Origin {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or_else(|| Origin::layer(Layer::Default), |entry| entry.origin.clone())
    }

    /// Every key with its value and origin, in the order of the reference.
    pub fn iter(&self) -> impl Iterator<Item = &OriginEntry> {
        self.entries.iter()
    }
}
