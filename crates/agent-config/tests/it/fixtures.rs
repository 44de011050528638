//! Files with everything that people and repositories write, and exactly what they are told.

use std::fs;
use std::path::{Path, PathBuf};

use agent_config::{Layer, Loaded, ProductionConfig, Sources, load};

use crate::home;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/config")
        .join(folder)
        .canonicalize()
        .unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {}", folder.display());
    files
}

/// Compares what is said of each file with the snapshot beside it.
fn check(folder: &str, sources: impl Fn(PathBuf) -> Sources) {
    for file in fixtures(folder) {
        let said = match load(&sources(file.clone())) {
            Ok(loaded) => without_machine(loaded).to_toml(),
            Err(error) => error.to_string(),
        };
        for secret in ["canary", "hunter2", "T0P-SECRET", "T0KEN"] {
            assert!(
                !said.contains(secret),
                "{} shows {secret}: {said}",
                file.display()
            );
        }
        let said = said.replace(&format!("{}/", file.parent().unwrap().display()), "");
        insta::with_settings!({ snapshot_path => file.parent().unwrap(), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(file.file_stem().unwrap().to_str().unwrap(), said);
        });
    }
}

/// The configuration without the defaults that differ from build to build and from machine to machine.
fn without_machine(loaded: Loaded) -> ProductionConfig {
    let Loaded {
        mut config, origins, ..
    } = loaded;
    let unset = |key: &str| origins.of(key).layer == Layer::Default;
    let deployment = &mut config.deployment;
    if unset("deployment.data_directory") {
        deployment.data_directory = "/data".into();
    }
    if unset("deployment.temp_directory") {
        deployment.temp_directory = "/temp".into();
    }
    if unset("deployment.version") {
        deployment.version = "0.0.0".into();
    }
    if unset("deployment.build_hash") {
        deployment.build_hash = "unknown".into();
    }
    config
}

#[test]
fn users_files() {
    check("user", |file| Sources {
        user_file: Some(file),
        environment: home(),
        ..Sources::default()
    });
}

#[test]
fn valid_files() {
    check("valid", |file| Sources {
        user_file: Some(file),
        environment: home(),
        ..Sources::default()
    });
}

#[test]
fn projects_files() {
    let flags = vec![("agent.max_budget_usd".to_owned(), "1".to_owned())];
    check("project", |file| Sources {
        user_file: Some(file.with_file_name("absent.toml")),
        project_file: Some(file),
        environment: home(),
        flags: flags.clone(),
        ..Sources::default()
    });
}

#[test]
fn one_file_alone_is_read_the_same_way() {
    for file in fixtures("valid") {
        let alone = ProductionConfig::load_from_file(&file).unwrap();
        let loaded = load(&Sources {
            explicit_file: Some(file),
            environment: home(),
            ..Sources::default()
        })
        .unwrap();
        assert_eq!(alone.agent, loaded.config.agent);
        assert_eq!(alone.security, loaded.config.security);
        assert_eq!(alone.environment, loaded.config.environment);
    }
    for file in fixtures("user") {
        assert!(
            ProductionConfig::load_from_file(&file).is_err(),
            "{}",
            file.display()
        );
    }
}
