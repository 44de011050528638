//! An agent of real parts around the scripted server, and runs whose events are checked as they are collected.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_claude::client::{ClaudeClient, ClaudeConfig};
use agent_claude::pricing::PriceTable;
use agent_config::{PermissionMode, WhitelistLevel};
use agent_core::session::{SessionId, SessionStore};
use agent_core::{
    Agent, AgentEvent, AgentParts, AgentSettings, Finished, Instruments, RunLimits, Session, SessionChoice,
    TurnHandle,
};
use agent_performance::lifecycle::Lifecycle;
use agent_security::command::CommandRules;
use agent_security::permission::{DeniedPaths, Policy};
use agent_security::redact::Redactor;
use tempfile::TempDir;

use super::server::{Reply, Server};
use super::tools::{Log, registry};

pub(crate) const MODEL: &str = "claude-opus-5-5";

/// A hang of the code under test ends the test, not the patience of its reader.
const TOO_LONG: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) log: Log,
    pub(crate) parts: AgentParts,
}

/// A run, told to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) events: Vec<AgentEvent>,
    pub(crate) finished: Finished,
}

impl Fixture {
    /// Everything allowed, answers from `replies`.
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let lifecycle = Lifecycle::new();
        let server = Server::start(&lifecycle).await;
        server.script(replies);
        let log = Log::default();
        let parts = AgentParts {
            client: client(&server.url),
            store: SessionStore::open(folder.path().join("sessions.db")).unwrap(),
            tools: registry(&log),
            policy: policy(PermissionMode::Policy, WhitelistLevel::Disabled, false),
            redactor: Redactor::new(Vec::new()),
            settings: AgentSettings::new(MODEL),
            prices: PriceTable::built_in(),
            lifecycle: lifecycle.clone(),
            audit: agent_security::audit::AuditLog::off(),
            instruments: Instruments::none(),
        };
        Self {
            folder,
            server,
            lifecycle,
            log,
            parts,
        }
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn agent(&self) -> Agent {
        Agent::new(self.parts.clone())
    }

    pub(crate) async fn session(&self) -> Session {
        let choice = SessionChoice::New {
            workspace: self.workspace(),
        };
        self.agent().start_session(choice).await.unwrap()
    }

    pub(crate) async fn resume(&self, id: SessionId) -> Session {
        self.agent()
            .start_session(SessionChoice::Resume { id })
            .await
            .unwrap()
    }

    /// One run in a new session, within the default limits.
    pub(crate) async fn run(&self, prompt: &str) -> Ran {
        self.run_within(prompt, limits()).await
    }

    pub(crate) async fn run_within(&self, prompt: &str, limits: RunLimits) -> Ran {
        collect(self.session().await.run(prompt, limits)).await
    }

    /// The only session's id.
    pub(crate) async fn only_session(&self) -> SessionId {
        let sessions = self.parts.store.list(Default::default()).await.unwrap();
        assert_eq!(sessions.len(), 1);
        sessions[0].id
    }

    /// All stored messages, as `(role, content)`.
    pub(crate) async fn stored(&self) -> Vec<(String, serde_json::Value)> {
        let id = self.only_session().await;
        let messages = self.parts.store.messages(&id, 1, 1000).await.unwrap();
        let content = |raw: &str| serde_json::from_str(raw).unwrap();
        messages
            .iter()
            .map(|m| (m.role.as_str().to_owned(), content(m.content.get())))
            .collect()
    }
}

pub(crate) fn client(url: &str) -> ClaudeClient {
    let mut config = ClaudeConfig::new(url.parse().unwrap());
    config.timeouts.idle = Duration::from_secs(10);
    ClaudeClient::new(config).unwrap()
}

pub(crate) fn limits() -> RunLimits {
    RunLimits {
        max_turns: 20,
        max_budget_usd: None,
        timeout: Duration::from_secs(60),
    }
}

/// Reads all events and checks what every reader may count on.
pub(crate) async fn collect(handle: TurnHandle) -> Ran {
    collect_rest(Vec::new(), handle).await
}

/// Reads events until one is as wanted, and gives all of them.
pub(crate) async fn until(handle: &mut TurnHandle, wanted: impl Fn(&AgentEvent) -> bool) -> Vec<AgentEvent> {
    let mut events = Vec::new();
    while !events.last().is_some_and(&wanted) {
        let next = tokio::time::timeout(TOO_LONG, handle.events.recv())
            .await
            .expect("the event never comes");
        events.push(next.expect("the run ended before the event"));
    }
    events
}

/// Like [`collect`], for a run of which `seen` was read already.
pub(crate) async fn collect_rest(seen: Vec<AgentEvent>, mut handle: TurnHandle) -> Ran {
    let mut events = seen;
    let reading = async {
        while let Some(event) = handle.events.recv().await {
            events.push(event);
        }
    };
    tokio::time::timeout(TOO_LONG, reading)
        .await
        .expect("the run hangs");
    let finished = handle.join.await.unwrap();
    check_order(&events, &finished);
    Ran { events, finished }
}

/// What the documentation of the events promises.
pub(crate) fn check_order(events: &[AgentEvent], finished: &Finished) {
    assert_eq!(
        events.last(),
        Some(&AgentEvent::Finished(finished.clone())),
        "finished is last and is the result"
    );
    let ends = events
        .iter()
        .filter(|event| matches!(event, AgentEvent::Finished(_)))
        .count();
    assert_eq!(ends, 1, "finished comes once");
    if events.len() > 1 {
        assert!(
            matches!(events[0], AgentEvent::SessionStarted { .. }),
            "{:?}",
            events[0]
        );
    }
    let mut open: HashMap<&str, bool> = HashMap::new();
    let mut approvals = HashSet::new();
    let mut last_seq = None;
    for event in events {
        match event {
            AgentEvent::ToolRequested { id, .. } => {
                assert!(open.insert(id, false).is_none(), "{id} requested twice")
            }
            AgentEvent::ToolStarted { id } => {
                assert_eq!(
                    open.insert(id, true),
                    Some(false),
                    "{id} started twice or never requested"
                );
            }
            AgentEvent::ToolOutput { id, .. } => {
                assert_eq!(open.get(id.as_str()), Some(&true), "output of {id}")
            }
            AgentEvent::ToolFinished { id, .. } => {
                assert!(open.remove(id.as_str()).is_some(), "{id} finished twice")
            }
            AgentEvent::ApprovalRequested { approval_id, .. } => assert!(approvals.insert(*approval_id)),
            AgentEvent::ApprovalResolved { approval_id, .. } => assert!(approvals.remove(approval_id)),
            AgentEvent::MessageStored { seq, .. } => {
                assert!(
                    last_seq.is_none_or(|last| last + 1 == *seq),
                    "{last_seq:?} then {seq}"
                );
                last_seq = Some(*seq);
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "requested and not finished: {open:?}");
    assert!(approvals.is_empty(), "asked and not resolved: {approvals:?}");
}

impl Ran {
    /// The text as a reader sees it who obeys `turn_restarted`.
    pub(crate) fn shown(&self) -> String {
        let mut shown = String::new();
        let mut turn_begin = 0;
        for event in &self.events {
            match event {
                AgentEvent::TurnStarted { .. } => turn_begin = shown.len(),
                AgentEvent::TurnRestarted { .. } => shown.truncate(turn_begin),
                AgentEvent::TextDelta { text } => shown.push_str(text),
                _ => {}
            }
        }
        shown
    }

    pub(crate) fn count(&self, wanted: impl Fn(&AgentEvent) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

pub(crate) fn policy(mode: PermissionMode, level: WhitelistLevel, interactive: bool) -> Policy {
    let rules = CommandRules::new(&[], &[]).unwrap();
    Policy {
        mode,
        level,
        rules,
        denied_paths: DeniedPaths::default(),
        interactive,
    }
}

/// A small file's text; empty when it is not there.
pub(crate) fn read_small(path: impl AsRef<Path>) -> String {
    let mut text = String::new();
    if let Ok(file) = std::fs::File::open(path) {
        file.take(4096).read_to_string(&mut text).unwrap();
    }
    text
}
