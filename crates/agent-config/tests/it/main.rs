//! The configuration as its users meet it: files, layers, errors, output.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the exception for tests does not reach"
)]

mod fixtures;
mod layers;
mod output;
mod storage;

use std::path::Path;

use agent_config::Sources;
use agent_config::environment::Environment;

/// Sources with this text as the user's file. The folder must outlive what is loaded.
fn user_file(folder: &Path, text: &str) -> Sources {
    let file = folder.join("config.toml");
    std::fs::write(&file, text).unwrap();
    Sources {
        user_file: Some(file),
        environment: home(),
        ..Sources::default()
    }
}

/// An environment with a home and nothing else.
fn home() -> Environment {
    Environment::from_pairs([("HOME", "/home/ada")])
}
