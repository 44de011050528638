//! Asks a program for a secret: its first words on standard output, and nothing of it anywhere else.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use agent_config::{MAX_KEY_BYTES, Secret, parse_api_key};
use agent_security::redact::Redactor;
use process_wrap::tokio::{CommandWrap, ProcessSession};
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::group::Group;
use super::watcher::Watcher;
use super::{DRAIN, DYING};

/// Bytes of output: a key with its line end. More was not meant to be a key.
const MAX_ANSWER: usize = MAX_KEY_BYTES + 2;
/// Bytes kept of what the program says on standard error: an explanation, not a log. The rest is read and forgotten.
const MAX_SAID: usize = 2048;

/// What to ask.
#[derive(Debug)]
pub struct SecretCommand<'a> {
    /// The program, by its path, and its arguments. No shell reads them.
    pub words: &'a [String],
    /// The whole environment of the program.
    pub environment: &'a [(String, String)],
    /// How long it may take. Somebody may have to type a passphrase or touch a key.
    pub deadline: Duration,
}

/// Why there is no secret. Nothing that the program printed on standard output is in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretCommandError {
    /// There is no program.
    #[error("no program is named")]
    Nothing,
    /// The program can't be run.
    #[error("{program} can't be run: {source}")]
    Unstarted {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It did not end in time, and was killed.
    #[error("{program} gave no answer within {} s, and was ended{}", after.as_secs(), told(said))]
    TimedOut {
        /// The program.
        program: String,
        /// How long it had.
        after: Duration,
        /// What it said on standard error, without secrets.
        said: String,
    },
    /// It failed.
    #[error("{program} failed ({status}){}", told(said))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on standard error, without secrets.
        said: String,
    },
    /// It printed more than a key.
    #[error("{program} printed more than {MAX_KEY_BYTES} bytes, which is no key")]
    TooMuch {
        /// The program.
        program: String,
    },
    /// What it printed can't be a key.
    #[error("what {program} printed {why}")]
    NoKey {
        /// The program.
        program: String,
        /// What is wrong.
        why: &'static str,
    },
}

fn told(said: &str) -> String {
    match said.trim() {
        "" => String::new(),
        said => format!(", and said: {said}"),
    }
}

impl SecretCommand<'_> {
    /// Runs the program in the root folder, without input and without a terminal, and takes what it prints as an API key. When this returns or is
    /// dropped, the program and what it started in its session are dead. `redactor` takes secrets out of what it says.
    ///
    /// # Errors
    /// [`SecretCommandError`].
    pub async fn ask(&self, redactor: &Redactor) -> Result<Secret, SecretCommandError> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err(SecretCommandError::Nothing);
        };
        let unstarted = |source| SecretCommandError::Unstarted {
            program: program.clone(),
            source,
        };
        let mut watcher = Watcher::start();
        #[expect(
            clippy::disallowed_methods,
            reason = "part of the module that the lint points to"
        )]
        let mut command = Command::new(program);
        command
            .args(arguments)
            // Where no project's file plays a part.
            .current_dir("/")
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut command = CommandWrap::from(command);
        command.wrap(ProcessSession);
        let mut child = command.spawn().map_err(unstarted)?;
        drop(command);
        let group = Group::led_by(&*child).map_err(unstarted)?;
        watcher.watch(group.id());
        let (mut answer, mut said) = (Kept::new(MAX_ANSWER), Kept::new(MAX_SAID));
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let too_much = CancellationToken::new();
        let work = async {
            let mut exit = group.leader_exit();
            let reading =
                async { tokio::join!(answer.read(stdout, Some(&too_much)), said.read(stderr, None)) };
            tokio::pin!(reading);
            tokio::select! {
                () = too_much.cancelled() => {}
                // What it wrote is in the pipes already; only what it left behind can write more.
                () = &mut exit => drop(tokio::time::timeout(DRAIN, reading).await),
                _ = &mut reading => exit.await,
            }
        };
        let in_time = tokio::time::timeout(self.deadline, work).await.is_ok();
        // The leader is not reaped yet, so its number can't belong to somebody else.
        group.signal(Signal::KILL);
        let status = tokio::time::timeout(DYING, child.inner_mut().wait()).await;
        group.disarm();
        watcher.stop().await;
        self.judge(program, &answer, said, in_time, status.ok(), redactor)
    }

    fn judge(
        &self,
        program: &str,
        answer: &Kept,
        said: Kept,
        in_time: bool,
        status: Option<io::Result<ExitStatus>>,
        redactor: &Redactor,
    ) -> Result<Secret, SecretCommandError> {
        let program = program.to_owned();
        let printed = Secret::from(String::from_utf8_lossy(&answer.bytes).trim());
        if answer.overflowed {
            return Err(SecretCommandError::TooMuch { program });
        }
        // It may have printed the key on both.
        let said = || {
            let own = Redactor::new(vec![printed.clone()]);
            own.redact(&redactor.redact(&String::from_utf8_lossy(&said.bytes)))
                .into_owned()
        };
        if !in_time {
            return Err(SecretCommandError::TimedOut {
                after: self.deadline,
                said: said(),
                program,
            });
        }
        match status {
            Some(Ok(status)) if status.success() => {}
            Some(Ok(status)) => {
                return Err(SecretCommandError::Failed {
                    status,
                    said: said(),
                    program,
                });
            }
            Some(Err(source)) => return Err(SecretCommandError::Unstarted { program, source }),
            None => {
                let source = io::Error::other("its exit status can't be read");
                return Err(SecretCommandError::Unstarted { program, source });
            }
        }
        parse_api_key(printed.expose()).map_err(|why| SecretCommandError::NoKey { program, why })
    }
}

/// The beginning of what comes through a pipe.
struct Kept {
    /// With room for all of it: a buffer that grows leaves copies behind that nothing overwrites.
    bytes: Zeroizing<Vec<u8>>,
    limit: usize,
    overflowed: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self {
            bytes: Zeroizing::new(Vec::with_capacity(limit)),
            limit,
            overflowed: false,
        }
    }

    /// Reads to the end; or only until there is too much, where somebody wants to be told.
    async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>, too_much: Option<&CancellationToken>) {
        let Some(mut pipe) = pipe else { return };
        let mut block = Zeroizing::new([0; 1024]);
        while let Ok(count @ 1..) = pipe.read(&mut block[..]).await {
            let room = self.limit - self.bytes.len();
            self.bytes.extend_from_slice(&block[..count.min(room)]);
            self.overflowed |= count > room;
            if let (true, Some(too_much)) = (self.overflowed, too_much) {
                too_much.cancel();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "tests read the small files that they wrote, and of the system"
    )]

    use std::time::Instant;

    use super::*;

    const KEY: &str = "opaque-never-printed-by-the-helper-0123456789";
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn ask_within(deadline: Duration, script: &str) -> Result<Secret, SecretCommandError> {
        let words = ["/bin/sh", "-c", script, "name", KEY].map(str::to_owned);
        let environment = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        let command = SecretCommand {
            words: &words,
            environment: &environment,
            deadline,
        };
        command.ask(&Redactor::default()).await
    }

    async fn ask(script: &str) -> Result<Secret, SecretCommandError> {
        ask_within(PATIENCE, script).await
    }

    fn said(error: SecretCommandError) -> String {
        let told = format!("{error} {error:?}");
        assert!(!told.contains("never-printed"), "{told}");
        error.to_string()
    }

    #[tokio::test]
    async fn the_key_is_what_it_prints_and_nothing_else_of_it_shows() {
        let key = ask(r#"echo "$1"; echo "a note, and $1" >&2"#).await.unwrap();
        assert_eq!(key.expose(), KEY);
        assert_eq!(ask(r#"printf '%s' "$1""#).await.unwrap().expose(), KEY);
        let failed = said(
            ask(r#"echo "$1"; echo "no access with $1" >&2; exit 3"#)
                .await
                .unwrap_err(),
        );
        assert!(
            failed.contains("exit status: 3") && failed.contains("no access with"),
            "{failed}"
        );
        assert!(said(ask("true").await.unwrap_err()).contains("is empty"));
        assert!(said(ask(r#"echo "$1 $1""#).await.unwrap_err()).contains("no key has"));
    }

    #[tokio::test]
    async fn it_gets_no_input_no_terminal_no_project_and_only_the_environment_it_is_given() {
        let tells =
            r#"echo "$(pwd)$(cat)$(tty >/dev/null 2>&1 && echo tty)$(env | cut -d= -f1 | sort | tr '\n' ,)""#;
        let told = ask(tells).await.unwrap();
        assert_eq!(told.expose(), "/PATH,PWD,");
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("pid");
        let script = format!(
            "sleep 600 & echo $! > '{}'; echo waiting >&2; wait",
            mark.display()
        );
        let begun = Instant::now();
        let told = said(ask_within(Duration::from_millis(500), &script).await.unwrap_err());
        assert!(told.contains("no answer") && told.contains("waiting"), "{told}");
        assert!(begun.elapsed() < PATIENCE);
        let pid = std::fs::read_to_string(&mark).unwrap();
        let dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            stat.map_or(true, |stat| {
                stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
            })
        };
        while !dead() {
            assert!(begun.elapsed() < PATIENCE, "{pid} still lives");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_it_leaves_behind_holds_nothing_up() {
        let begun = Instant::now();
        let key = ask(r#"sleep 600 & echo "$1""#).await.unwrap();
        assert_eq!(key.expose(), KEY);
        assert!(begun.elapsed() < PATIENCE);
    }

    #[tokio::test]
    async fn a_flood_on_either_output_is_bounded() {
        let begun = Instant::now();
        let told = said(ask("exec yes $1").await.unwrap_err());
        assert!(told.contains("more than"), "{told}");
        assert!(begun.elapsed() < PATIENCE, "it is ended at once");
        let script = r#"head -c 100000000 /dev/zero | tr '\0' x >&2; echo "$1""#;
        assert_eq!(ask(script).await.unwrap().expose(), KEY);
        let failed = said(
            ask("head -c 1000000 /dev/zero | tr '\0' x >&2; exit 1")
                .await
                .unwrap_err(),
        );
        assert!(failed.len() < MAX_SAID + 200, "{}", failed.len());
    }

    #[tokio::test]
    async fn no_program_is_told() {
        let ask = async |words: &[String]| {
            let command = SecretCommand {
                words,
                environment: &[],
                deadline: PATIENCE,
            };
            command.ask(&Redactor::default()).await.unwrap_err().to_string()
        };
        assert!(
            ask(&["/nowhere/at-all".to_owned()])
                .await
                .contains("/nowhere/at-all can't be run")
        );
        assert!(ask(&[]).await.contains("no program"));
    }
}
