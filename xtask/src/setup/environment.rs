//! One environment: a virtual environment of Python, or a folder of Node modules, made from pinned requirements.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Made after everything else, with the requirements in it: without it an environment is half made.
const STAMP: &str = "made-from";
/// A registry that stops talking must not hold up a test run: one attempt may take this long...
const ATTEMPT_LIMIT: Duration = Duration::from_secs(150);
/// ...and this many are made, since registries have bad minutes.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);
/// How often a running installer is looked at.
const POLL: Duration = Duration::from_millis(50);
/// What is shown of an installer's output when it fails.
const SHOWN_LINES: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Python,
    Node,
}

/// An environment. Its requirements lie in `fixtures/clients/NAME`, the environment in `target/clients/NAME`.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

impl Environment {
    /// Whether it was made, to the end, from the requirements as they are now.
    pub(super) fn is_current(&self, root: &Path) -> bool {
        let made_from = fs::read_to_string(self.folder(root).join(STAMP));
        matches!((made_from, self.requirements(root)), (Ok(old), Ok(new)) if old == new)
    }

    /// Makes it anew.
    pub(super) fn make(&self, root: &Path) -> Result<(), String> {
        let folder = self.folder(root);
        let requirements = self.requirements(root)?;
        let mut failure = String::new();
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                println!("{}: attempt {attempt} of {ATTEMPTS}, after: {failure}", self.name);
                std::thread::sleep(PAUSE);
            }
            match self.install(root, &folder) {
                Ok(()) => {
                    return fs::write(folder.join(STAMP), requirements)
                        .map_err(|error| format!("{}: {error}", folder.join(STAMP).display()));
                }
                Err(error) => failure = error,
            }
        }
        Err(format!(
            "the clients of {} could not be installed in {ATTEMPTS} attempts: {failure}",
            self.name
        ))
    }

    fn folder(&self, root: &Path) -> PathBuf {
        root.join("target/clients").join(self.name)
    }

    fn files(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Python => &["requirements.txt"],
            Kind::Node => &["package.json", "package-lock.json"],
        }
    }

    fn sources(&self, root: &Path) -> Vec<PathBuf> {
        let folder = root.join("fixtures/clients").join(self.name);
        self.files().iter().map(|file| folder.join(file)).collect()
    }

    fn requirements(&self, root: &Path) -> Result<String, String> {
        let mut all = String::new();
        for path in self.sources(root) {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            all.push_str(&text);
        }
        Ok(all)
    }

    fn install(&self, root: &Path, folder: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let sources = self.sources(root);
        let log = folder.with_extension("log");
        match self.kind {
            Kind::Python => {
                run(
                    Command::new("python3").args(["-m", "venv"]).arg(folder),
                    &log,
                    ATTEMPT_LIMIT,
                )?;
                // Wheels alone: the code of a package does not run while it is installed.
                run(
                    Command::new(folder.join("bin/python"))
                        .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
                        .args([
                            "--only-binary",
                            ":all:",
                            "--disable-pip-version-check",
                            "--requirement",
                        ])
                        .arg(&sources[0]),
                    &log,
                    ATTEMPT_LIMIT,
                )
            }
            Kind::Node => {
                for source in &sources {
                    let name = source.file_name().expect("a requirement file has a name");
                    fs::copy(source, folder.join(name)).map_err(failed)?;
                }
                run(
                    Command::new("npm")
                        .args([
                            "ci",
                            "--ignore-scripts",
                            "--no-audit",
                            "--no-fund",
                            "--loglevel=error",
                        ])
                        .current_dir(folder),
                    &log,
                    ATTEMPT_LIMIT,
                )
            }
        }
    }
}

/// Runs to the end or to the limit, with the output kept in a file and shown only when it fails.
fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<(), String> {
    let shown = crate::tools::shown(command);
    let failed = |error: std::io::Error| format!("`{shown}`: {error}");
    let output = File::create(log).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if start.elapsed() > limit {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(format!("`{shown}` took longer than {} s", limit.as_secs()));
        }
        std::thread::sleep(POLL);
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    Err(format!("`{shown}` failed, {status}:\n{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVIRONMENT: Environment = Environment {
        name: "sample",
        kind: Kind::Python,
    };

    #[test]
    fn an_environment_is_current_only_with_the_stamp_of_the_same_requirements() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("fixtures/clients/sample");
        let made = root.path().join("target/clients/sample");
        fs::create_dir_all(&wanted).unwrap();
        fs::create_dir_all(&made).unwrap();
        fs::write(wanted.join("requirements.txt"), "a==1\n").unwrap();
        assert!(!ENVIRONMENT.is_current(root.path()), "half made");
        fs::write(made.join(STAMP), "a==1\n").unwrap();
        assert!(ENVIRONMENT.is_current(root.path()));
        fs::write(wanted.join("requirements.txt"), "a==2\n").unwrap();
        assert!(
            !ENVIRONMENT.is_current(root.path()),
            "made from other requirements"
        );
    }

    #[test]
    fn an_installer_that_fails_or_hangs_is_told_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let broken = run(
            Command::new("sh").args(["-c", "echo no such package >&2; exit 3"]),
            &log,
            ATTEMPT_LIMIT,
        );
        assert!(broken.unwrap_err().contains("no such package"));
        let slow = run(Command::new("sleep").arg("60"), &log, Duration::from_millis(100));
        assert!(slow.unwrap_err().contains("took longer"));
    }

    #[test]
    fn requirements_name_exact_versions_and_no_registry() {
        let folder = crate::tools::root().join("fixtures/clients");
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            let locked = fs::read_to_string(entry.join("package-lock.json")).unwrap_or_default();
            assert!(!locked.contains("\"resolved\""), "{}", entry.display());
            let pinned = fs::read_to_string(entry.join("requirements.txt")).unwrap_or_default();
            for line in pinned.lines() {
                assert!(line.contains("=="), "{}: {line}", entry.display());
            }
        }
    }
}
