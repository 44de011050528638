//! Liveness and readiness. The status alone decides for machines; `?verbose` is for people.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use agent_core::session::SessionStore;
use agent_operations::health::{CheckStatus, HealthMonitor, HealthStatus};
use agent_performance::cleanup::Admission;
use agent_performance::lifecycle::Lifecycle;
use agent_performance::shared::{Shared, SharedState};
use http::{Request, StatusCode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::answer::{Answer, Refusal, content};
use crate::input::{Kind, Parameter, Query};
use crate::parts::GatewayParts;
use crate::pipeline::{Context, RequestBody};

/// How long what the store answered is good for: probes come every few seconds, and nobody may make the disk busy by
/// asking more often.
const STORE_PROBE_VALID: Duration = Duration::from_secs(2);

/// How long the store may take to write. A probe that waits longer would be given up by the one who asks.
const STORE_PROBE_TIMEOUT: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) static PARAMETERS: &[Parameter] = &[Parameter {
    name: "verbose",
    kind: Kind::Flag,
    help: "Tell each check on a line of its own. Needs a credential; without one the answer stays short.",
}];

pub(super) struct Probes {
    lifecycle: Lifecycle,
    admission: Admission,
    shared: Option<Shared>,
    health: Option<HealthMonitor>,
    safe_mode: Option<String>,
    store: StoreProbe,
    version: &'static str,
}

/// One line of a verbose answer.
struct Check {
    name: Cow<'static, str>,
    /// What is wrong; none when nothing is.
    problem: Option<String>,
    /// What is told about a check that passed.
    note: String,
    /// Whether a problem makes the process unready.
    decides: bool,
}

impl Check {
    fn of(name: impl Into<Cow<'static, str>>, problem: Option<String>) -> Self {
        Check {
            name: name.into(),
            problem,
            note: String::new(),
            decides: true,
        }
    }
}

impl Probes {
    pub(super) fn new(parts: &GatewayParts) -> Self {
        Self {
            lifecycle: parts.lifecycle.clone(),
            admission: parts.admission.clone(),
            shared: parts.shared.as_ref().map(|sharing| sharing.store.clone()),
            health: parts.health.clone(),
            safe_mode: parts.safe_mode.clone(),
            store: StoreProbe {
                store: parts.store.clone(),
                last: Mutex::new(None),
            },
            version: parts.version,
        }
    }

    /// The process answers; that is all that liveness means. What it depends on must not get it restarted.
    pub(super) fn live(&self, context: &Context, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), PARAMETERS)?;
        let verbose = query.flag("verbose") && context.trusted;
        let mut check = Check::of("process", None);
        check.note = format!(" (version {})", self.version);
        Ok(told("livez", &[check], verbose))
    }

    pub(super) async fn ready(
        &self,
        context: &Context,
        request: &Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), PARAMETERS)?;
        let verbose = query.flag("verbose") && context.trusted;
        let mut checks = vec![self.draining(), self.started(), self.memory()];
        // While it ends nobody has to wait for the disk, and the store may be closed already.
        if checks.iter().all(|check| check.problem.is_none()) || verbose {
            checks.push(Check::of("store", self.store.problem().await));
        }
        checks.extend(self.shared.as_ref().map(shared));
        checks.extend(self.safe_mode.as_deref().map(safe_mode));
        if let Some(health) = &self.health {
            checks.extend(monitored(&health.get_status().await));
        }
        Ok(told("readyz", &checks, verbose))
    }

    fn draining(&self) -> Check {
        let is_ending = self.lifecycle.token().is_cancelled();
        Check::of(
            "not-draining",
            is_ending.then(|| "the daemon is ending".to_owned()),
        )
    }

    fn started(&self) -> Check {
        let blockers = self.lifecycle.readiness_blockers();
        Check::of(
            "started",
            (!blockers.is_empty()).then(|| format!("waiting for {}", blockers.join(", "))),
        )
    }

    fn memory(&self) -> Check {
        Check::of(
            "memory",
            self.admission
                .check()
                .err()
                .map(|overloaded| overloaded.to_string()),
        )
    }
}

/// Without it the replica goes on alone, as configured, so it never makes the replica unready.
fn shared(shared: &Shared) -> Check {
    let status = shared.status();
    let problem = match status.state {
        SharedState::Up => None,
        SharedState::Connecting => Some("not connected yet; this replica goes on alone".to_owned()),
        SharedState::Down => {
            let reason = status
                .last_failure
                .map(|failure| format!(": {}", failure.message))
                .unwrap_or_default();
            Some(format!(
                "down since {}, this replica goes on alone{reason}",
                status.since.to_rfc3339()
            ))
        }
    };
    Check {
        decides: false,
        note: format!(" ({})", status.address),
        ..Check::of("shared", problem)
    }
}

/// Messages are still forwarded, so it keeps nothing but turns away.
fn safe_mode(why: &str) -> Check {
    let problem =
        format!("turns of the agent and cached answers are off: {why}; stop it in order to leave safe mode");
    Check {
        decides: false,
        ..Check::of("safe-mode", Some(problem))
    }
}

/// What is looked at here already, and by asking at this moment.
const ASKED_HERE: [&str; 2] = ["store", "shared"];

/// Without room on the disk nothing can be acknowledged. Everything else that fails is told and does not keep work away: another
/// daemon would have the same API, and this one can still answer from its cache and its store.
const NEEDED: &str = "disk";

/// What the monitor saw last and was not well.
fn monitored(status: &HealthStatus) -> impl Iterator<Item = Check> {
    let checks = status.checks.iter();
    checks
        .filter(|(name, result)| result.status != CheckStatus::Pass && !ASKED_HERE.contains(&name.as_str()))
        .map(|(name, result)| Check {
            decides: name == NEEDED && result.status == CheckStatus::Fail,
            ..Check::of(name.clone(), Some(result.message.clone()))
        })
}

fn told(name: &str, checks: &[Check], verbose: bool) -> Answer {
    let is_good = checks
        .iter()
        .all(|check| check.problem.is_none() || !check.decides);
    let mut text = String::new();
    if verbose {
        for check in checks {
            line(&mut text, check);
        }
        let word = if is_good { "passed" } else { "failed" };
        text.push_str(&format!("{name} check {word}\n"));
    } else {
        text.push_str(if is_good { "ok\n" } else { "not ok\n" });
    }
    let mut answer = content(TEXT, text);
    if !is_good {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

fn line(text: &mut String, check: &Check) {
    let name = &check.name;
    let written = match &check.problem {
        None => writeln!(text, "[+]{name} ok{}", check.note),
        Some(problem) => {
            // One check, one line, whatever an error says.
            let problem: String = problem
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let sign = if check.decides { "[-]" } else { "[!]" };
            writeln!(text, "{sign}{name} failed: {problem}")
        }
    };
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

/// Finds out whether the store can be written, by writing.
struct StoreProbe {
    store: SessionStore,
    /// Held while one asks: the others wait for the same answer.
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl StoreProbe {
    /// What is wrong with the store; none when it could be written.
    async fn problem(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((at, problem)) = last.as_ref()
            && at.elapsed() < STORE_PROBE_VALID
        {
            return problem.clone();
        }
        let problem = match timeout(STORE_PROBE_TIMEOUT, self.store.check_writable()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!(
                "writing takes longer than {} s",
                STORE_PROBE_TIMEOUT.as_secs()
            )),
        };
        *last = Some((Instant::now(), problem.clone()));
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_core::session::NewSession;

    #[test]
    fn only_checks_that_decide_make_it_unready() {
        let checks = [
            Check::of("a", None),
            Check {
                decides: false,
                ..Check::of("b", Some("x\ny".into()))
            },
        ];
        let answer = told("readyz", &checks, true);
        assert_eq!(answer.status(), 200);
        let text = answer.body().whole().unwrap();
        assert_eq!(text, "[+]a ok\n[!]b failed: x y\nreadyz check passed\n");
        let answer = told("readyz", &[Check::of("a", Some("x".into()))], false);
        assert_eq!(
            (answer.status().as_u16(), answer.body().whole().unwrap().as_ref()),
            (503, &b"not ok\n"[..])
        );
    }

    #[test]
    fn what_the_monitor_saw_is_told_and_a_full_disk_decides() {
        use agent_operations::health::{CheckResult, HealthState};
        let mut status = HealthStatus {
            status: HealthState::Unhealthy,
            starting: false,
            timestamp: chrono::Utc::now(),
            uptime: Duration::ZERO,
            checks: Default::default(),
            transitions: Default::default(),
            version: String::new(),
            build_hash: String::new(),
        };
        let mut seen = |name: &str, result: CheckResult| {
            status.checks.insert(name.to_owned(), result);
            monitored(&status)
                .map(|check| (check.name.into_owned(), check.decides))
                .collect::<Vec<_>>()
        };
        assert_eq!(seen("clock", CheckResult::pass("right")), []);
        assert_eq!(seen("store", CheckResult::fail("asked here")), []);
        let api = ("api".to_owned(), false);
        assert_eq!(
            seen("api", CheckResult::fail("refused")),
            std::slice::from_ref(&api)
        );
        let disk = |decides| ("disk".to_owned(), decides);
        assert_eq!(
            seen("disk", CheckResult::warn("little")),
            [api.clone(), disk(false)]
        );
        assert_eq!(seen("disk", CheckResult::fail("none")), [api, disk(true)]);
    }

    #[tokio::test]
    async fn the_store_is_asked_by_writing_and_not_too_often() {
        let folder = tempfile::tempdir().unwrap();
        let store = SessionStore::open(folder.path().join("s.db")).unwrap();
        store
            .create(NewSession {
                workspace: "/w".into(),
                model: "m".into(),
                title: None,
            })
            .await
            .unwrap();
        let log = folder.path().join("s.db-wal");
        let size = || std::fs::metadata(&log).unwrap().len();
        let probe = StoreProbe {
            store: store.clone(),
            last: Mutex::new(None),
        };
        let before = size();
        assert_eq!(probe.problem().await, None);
        let after = size();
        assert!(after > before);
        assert_eq!(probe.problem().await, None);
        assert_eq!(size(), after, "the answer was still good");
        store.close().await.unwrap();
        assert_eq!(probe.problem().await, None, "and still is");
        probe.last.lock().await.as_mut().unwrap().0 -= STORE_PROBE_VALID;
        assert!(probe.problem().await.unwrap().contains("closed"));
    }
}
