//! Files that can't be read, files that must not be read by others, and saving.

use std::fs;
use std::path::Path;

use agent_config::environment::Environment;
use agent_config::{
    ByteSize, ConfigError, HumanDuration, ProductionConfig, Secret, Sources, WhitelistLevel, deployment_id,
    load,
};
use proptest::prelude::*;

use crate::user_file;

fn problem(sources: &Sources) -> String {
    load(sources).unwrap_err().to_string()
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_file_that_cannot_be_read_is_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8], end: &str| {
        let sources = user_file(folder.path(), "");
        fs::write(sources.user_file.as_ref().unwrap(), bytes).unwrap();
        let said = problem(&sources);
        assert!(said.ends_with(end), "{said}");
    };
    check(
        b"[agent]\n# caf\xe9\n",
        "config.toml:2: is not UTF-8 text; valid: a file of UTF-8 text",
    );
    check(
        &vec![b'#'; (1 << 20) + 1],
        "config.toml: is larger than 1048576 bytes; valid: a file of at most 1048576 bytes",
    );
    check(b"a\0b", "below a line such as `[agent]`");
    let deep = format!("a = {}", "[".repeat(100_000));
    check(deep.as_bytes(), "below a line such as `[agent]`");
    // As large as is allowed is allowed.
    let sources = user_file(
        folder.path(),
        &format!("[agent]\nmax_turns = 3\n{}", "#".repeat((1 << 20) - 22)),
    );
    assert_eq!(load(&sources).unwrap().config.agent.max_turns, 3);
    // A folder where a file should be.
    let sources = Sources {
        project_file: Some(folder.path().to_owned()),
        ..Sources::default()
    };
    assert!(problem(&sources).ends_with("is not a regular file; valid: a regular file"));
}

#[cfg(unix)]
#[test]
fn a_locked_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let sources = user_file(folder.path(), "");
    set_mode(sources.user_file.as_ref().unwrap(), 0o000);
    // The superuser may read everything; then there is nothing to see here.
    if fs::File::open(sources.user_file.as_ref().unwrap()).is_err() {
        assert!(problem(&sources).contains("config.toml: cannot be read: Permission denied"));
    }
}

#[test]
fn a_file_of_rubbish_gives_a_bounded_answer() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..5000)
        .map(|n| format!("rubbish_{n}_{} = 1\n", "x".repeat(100)))
        .collect();
    let said = problem(&user_file(folder.path(), &text));
    assert_eq!(said.lines().count(), 101);
    assert!(
        said.ends_with("… and 4900 more problems"),
        "{}",
        said.lines().last().unwrap()
    );
}

#[cfg(unix)]
#[test]
fn the_key_file_must_be_private() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "  sk-ant-canary\n").unwrap();
    let sources = user_file(
        folder.path(),
        &format!("[api]\napi_key_file = \"{}\"", key.display()),
    );
    for exposed in [0o644, 0o640, 0o604, 0o660] {
        set_mode(&key, exposed);
        let said = problem(&sources);
        assert!(
            said.contains(&format!(
                "may be read by other users (mode {exposed:04o}); valid: mode 0600"
            )),
            "{said}"
        );
        assert!(said.contains("config.toml:2: api.api_key_file"), "{said}");
    }
    for private in [0o600, 0o400] {
        set_mode(&key, private);
        assert_eq!(load(&sources).unwrap().api_key.unwrap().expose(), "sk-ant-canary");
    }
    for (content, end) in [
        (
            "",
            "whose content is empty; valid: one line of printable ASCII characters without spaces",
        ),
        (
            "a b",
            "whose content has characters in it that no key has; valid: one line of printable ASCII characters without spaces",
        ),
        (
            &"k".repeat(5000),
            "is larger than 4096 bytes; valid: a file of at most 4096 bytes",
        ),
    ] {
        fs::write(&key, content).unwrap();
        let said = problem(&sources);
        assert!(said.ends_with(end), "{said}");
    }
    fs::remove_file(&key).unwrap();
    assert!(problem(&sources).contains("does not exist"));
}

#[test]
fn of_several_places_for_the_key_the_first_counts_and_the_others_are_told() {
    use agent_config::KeySource;
    let folder = tempfile::tempdir().unwrap();
    let all = "[api]\napi_key_command = [\"/bin/sh\", \"-c\", \"true\"]\napi_key_keyring = \"main\"";
    let mut sources = user_file(folder.path(), all);
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.api_key, None, "who uses it asks");
    assert!(
        matches!(loaded.api_key_source, Some(KeySource::Command(program)) if program == Path::new("/bin/sh"))
    );
    let told = |loaded: &agent_config::Loaded| -> Vec<String> {
        loaded
            .warnings
            .iter()
            .map(|warning| warning.key.clone())
            .collect()
    };
    let loaded = load(&sources).unwrap();
    assert_eq!(told(&loaded), ["api.api_key_keyring"]);
    sources.environment = Environment::from_pairs([("ANTHROPIC_API_KEY", "sk-ant-canary")]);
    let loaded = load(&sources).unwrap();
    assert_eq!(told(&loaded), ["api.api_key_command", "api.api_key_keyring"]);
    let sources = user_file(folder.path(), "[api]\napi_key_keyring = \"main\"");
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.api_key_source, Some(KeySource::Keyring("main".to_owned())));
}

#[cfg(unix)]
#[test]
fn a_program_for_the_key_is_only_run_from_where_nobody_else_can_put_another() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = bin.join("ask");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let linked = folder.path().join("linked");
    symlink(&program, &linked).unwrap();
    for (of_program, of_bin, expected) in [
        (0o755, 0o755, None),
        (0o700, 0o1777, None),
        (0o644, 0o755, Some("is not an executable file")),
        (0o757, 0o755, Some("may be written by other users (mode 0757)")),
        (0o775, 0o755, Some("may be written by other users (mode 0775)")),
        (
            0o755,
            0o777,
            Some("is in a folder that may be written by other users (mode 0777)"),
        ),
    ] {
        set(&program, of_program);
        set(&bin, of_bin);
        for path in [&program, &linked] {
            let sources = user_file(
                folder.path(),
                &format!("[api]\napi_key_command = [\"{}\"]", path.display()),
            );
            match expected {
                None => assert!(load(&sources).is_ok()),
                Some(expected) => {
                    let said = problem(&sources);
                    assert!(
                        said.contains(expected) && said.contains("api.api_key_command"),
                        "{said}"
                    );
                }
            }
        }
    }
    // Higher up, and where only the link lies.
    let (open, inner) = (folder.path().join("open"), folder.path().join("open/inner"));
    fs::create_dir_all(&inner).unwrap();
    let by_link = inner.join("link");
    symlink(&program, &by_link).unwrap();
    set(&bin, 0o755);
    set(&program, 0o755);
    let named = |path: &Path| {
        user_file(
            folder.path(),
            &format!("[api]\napi_key_command = [\"{}\"]", path.display()),
        )
    };
    assert!(load(&named(&by_link)).is_ok());
    set(&open, 0o777);
    let said = problem(&named(&by_link));
    assert!(
        said.contains("is in a folder that may be written") && said.contains("/open'"),
        "{said}"
    );
    fs::remove_file(&program).unwrap();
    let sources = named(&linked);
    assert!(problem(&sources).contains("names a program that does not exist"));
}

#[test]
fn the_key_in_the_environment_goes_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources = user_file(folder.path(), "[api]\napi_key_file = \"/nowhere/key\"");
    sources.environment = Environment::from_pairs([("ANTHROPIC_API_KEY", "sk-ant-canary")]);
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.api_key.as_ref().unwrap().expose(), "sk-ant-canary");
    assert_eq!(loaded.warnings[0].key, "api.api_key_file");
    assert!(!format!("{loaded:?} {sources:?}").contains("canary"));

    sources.environment = Environment::from_pairs([("ANTHROPIC_API_KEY", "canary\u{201d}")]);
    let said = problem(&sources);
    assert!(
        said.starts_with("environment variable ANTHROPIC_API_KEY: ") && !said.contains("canary"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn production_refuses_a_private_key_that_others_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    fs::write(&key, "").unwrap();
    set_mode(&key, 0o644);
    let file = |environment: &str| {
        format!(
            "environment = \"{environment}\"\n[security]\nenable_tls = true\ntls_cert_path = \"/c.pem\"\ntls_key_path = \"{}\"\n",
            key.display()
        )
    };
    assert!(load(&user_file(folder.path(), &file("Staging"))).is_ok());
    let said = problem(&user_file(folder.path(), &file("Production")));
    assert!(
        said.contains("config.toml:5: security.tls_key_path") && said.contains("mode 0644"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn saving_is_whole_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new").join("config.toml");
    let mut config = ProductionConfig::default();
    config.monitoring.alert_webhook_url = Some(Secret::from("https://hooks.example/canary"));
    config.save_to_file(&file).unwrap();
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert_eq!(ProductionConfig::load_from_file(&file).unwrap(), config);

    // A file that others could read does not stay so, and a link goes on pointing to the file it points to.
    set_mode(&file, 0o644);
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    config.agent.max_turns = 9;
    config.save_to_file(&link).unwrap();
    assert_eq!(mode(&file), 0o600);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        ProductionConfig::load_from_file(&file).unwrap().agent.max_turns,
        9
    );
    assert_eq!(
        fs::read_dir(file.parent().unwrap()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn what_could_not_be_loaded_again_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let mut config = ProductionConfig::default();
    config.save_to_file(&file).unwrap();
    let before = ProductionConfig::load_from_file(&file).unwrap();
    config.agent.max_turns = 0;
    config.logging.log_file_path = Some("relative.log".into());
    let error = config.save_to_file(&file).unwrap_err();
    assert_eq!(error.problems().len(), 2);
    assert!(
        error
            .to_string()
            .starts_with("logging.log_file_path = \"relative.log\": is not an absolute path"),
        "{error}"
    );
    assert_eq!(ProductionConfig::load_from_file(&file).unwrap(), before);

    let below_a_file = file.join("config.toml");
    let error = ProductionConfig::default()
        .save_to_file(&below_a_file)
        .unwrap_err();
    assert!(
        matches!(
            &error,
            ConfigError::Write {
                action: "create its folder",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_template_replaces_a_file_only_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new").join("config.toml");
    agent_config::write_template(&file, false).unwrap();
    ProductionConfig::load_from_file(&file).unwrap();
    fs::write(&file, "[agent]\nmax_turns = 7\n").unwrap();
    let error = agent_config::write_template(&file, false).unwrap_err();
    let ConfigError::Write { source, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(
        ProductionConfig::load_from_file(&file).unwrap().agent.max_turns,
        7
    );
    agent_config::write_template(&file, true).unwrap();
    assert_eq!(
        ProductionConfig::load_from_file(&file).unwrap().agent.max_turns,
        100
    );
}

#[test]
fn an_installation_keeps_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let mut deployment = ProductionConfig::default().deployment;
    deployment.data_directory = folder.path().join("data");
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| deployment_id(&deployment).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        all.iter().all(|id| *id == all[0]),
        "all starters get the same identity: {all:?}"
    );
    assert_eq!(deployment_id(&deployment).unwrap(), all[0]);

    fs::write(deployment.data_directory.join("deployment-id"), "rubbish").unwrap();
    let error = deployment_id(&deployment).unwrap_err().to_string();
    assert!(
        error.contains("deployment-id: deployment.deployment_id: is not a UUID"),
        "{error}"
    );

    let configured = uuid::Uuid::from_u128(7);
    deployment.deployment_id = Some(configured);
    assert_eq!(deployment_id(&deployment).unwrap(), configured);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_saved_is_what_is_loaded(
        size in 1_u64..1 << 14,
        nanos in 100_000_000_u64..80_000_000_000_000,
        budget in proptest::option::of(0.0..1e6_f64),
        model in "[^\\p{C}]{1,80}",
        denied in proptest::collection::vec("[^\\p{C}]{1,40}", 0..4),
    ) {
        let mut config = ProductionConfig::default();
        config.tools.max_output = ByteSize(size << 10);
        config.performance.request_timeout = HumanDuration(std::time::Duration::from_nanos(nanos));
        config.agent.max_budget_usd = budget;
        config.api.model = format!("m{model}");
        config.tools.denied_commands = denied.into_iter().map(|text| format!("x{text}")).collect();
        config.tools.denied_commands.dedup();
        config.security.whitelist_enforcement_level = WhitelistLevel::Strict;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        config.save_to_file(&file).unwrap();
        prop_assert_eq!(ProductionConfig::load_from_file(&file).unwrap(), config);
    }

    #[test]
    fn any_text_is_answered(text in "(\\[(api|agent|tools|x)\\]\n|[a-z_.\"]{1,12} ?= ?(1|-9e9|nan|\"x\"|\\[\\]|\\{\\}|\\PC{0,9})\n|\\PC{0,20}\n){0,12}") {
        let folder = tempfile::tempdir().unwrap();
        if let Err(error) = load(&user_file(folder.path(), &text)) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(error.problems().iter().all(|problem| problem.origin.is_some()));
        }
    }
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_utf8_are_told_if_they_matter() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let bad = || OsString::from_vec(b"canary\xff".to_vec());
    let environment =
        |names: &[&str]| Environment::from_os_pairs(names.iter().map(|name| ((*name).into(), bad())));
    assert!(
        load(&Sources {
            environment: environment(&["LESSOPEN", "ANTHROPIC_MODEL"]),
            ..Sources::default()
        })
        .is_ok()
    );
    let names = ["ANTHROPIC_API_KEY", "CLAUDE_AGENT__API__MODEL"];
    insta::assert_snapshot!(problem(&Sources { environment: environment(&names), ..Sources::default() }), @"
    environment variable ANTHROPIC_API_KEY: is not UTF-8 text; valid: UTF-8 text
    environment variable CLAUDE_AGENT__API__MODEL: api.model: is not UTF-8 text; valid: UTF-8 text
    ");
}
