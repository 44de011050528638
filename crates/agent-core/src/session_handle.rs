//! An open session, and the runs in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agent_claude::messages::{CacheControl, ContentBlock, SystemPrompt, TextBlock, ToolDefinition};
use agent_performance::instrumentation::within;
use agent_performance::lifecycle::TaskHandle;
use agent_security::path::check_relative;
use agent_security::permission::{Action, Grants, Policy, Verdict};
use tokio::sync::{Mutex, mpsc, watch};

use crate::agent::{AgentError, AgentParts, SessionChoice};
use crate::control::{Shared, TurnControl};
use crate::conversation::Conversation;
use crate::emitter::{EVENT_CHANNEL, Emitter};
use crate::event::{AgentEvent, Finished, UsageTotals};
use crate::instruments::{Invocation, Live};
use crate::limits::{Ledger, RunLimits};
use crate::report::{self, End};
use crate::session::{NewSession, SessionId, StoreError};
use crate::stop::{StopCause, Stopper};
use crate::tools::PathFilter;
use crate::turn::{Progress, Turn};
use crate::workspace::Workspace;
use crate::{instructions, prompt, title};

/// An open session. It keeps the conversation in memory and the right to append to it until it is dropped.
#[derive(Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Arc<AgentParts>,
    surroundings: Surroundings,
    resumed: Option<SessionId>,
    live: Live,
    /// None until the first prompt of a new session.
    conversation: Mutex<Option<Conversation>>,
}

/// What stays the same in every request and call of a session.
pub(crate) struct Surroundings {
    pub(crate) workspace: Workspace,
    pub(crate) system: SystemPrompt,
    pub(crate) tools: Vec<ToolDefinition>,
    /// The agent's, for this workspace.
    pub(crate) policy: Policy,
    /// What a person allowed for the rest of the session, and whether it has read a stranger's words. Never stored: whoever opens the session tomorrow may be
    /// another person.
    pub(crate) grants: watch::Sender<Grants>,
    pub(crate) may_read: PathFilter,
    /// About the project's instructions; told with the first run.
    warnings: Vec<String>,
}

/// One run under way.
#[derive(Debug)]
#[must_use = "a run whose events nobody reads is cancelled"]
pub struct TurnHandle {
    /// What happens, in order; [`AgentEvent::Finished`] is the last. Reading slowly slows the run; dropping the receiver
    /// cancels it.
    pub events: mpsc::Receiver<AgentEvent>,
    /// Answers, steers, cancels.
    pub control: TurnControl,
    /// The end of the run, also for those who read no events; the same as in the last event.
    pub join: TaskHandle<Finished>,
}

impl Session {
    pub(crate) async fn open(parts: Arc<AgentParts>, choice: SessionChoice) -> Result<Self, AgentError> {
        let (folder, resumed) = match choice {
            SessionChoice::New { workspace } => (workspace, None),
            SessionChoice::Resume { id } => (parts.store.get(&id).await?.workspace, Some(id)),
        };
        let workspace = Workspace::open(&folder)?;
        let surroundings = Surroundings::new(&parts, workspace).await;
        let conversation = match resumed {
            Some(id) => Some(Conversation::resume(&parts.store, id, surroundings.bytes()).await?),
            None => None,
        };
        // After the session is claimed: nobody else brings anything into it from here on.
        let distrusted = match resumed {
            Some(id) => parts.store.get(&id).await?.distrusted,
            None => None,
        };
        if let Some(source) = distrusted {
            surroundings
                .grants
                .send_if_modified(|grants| grants.distrust(&source));
        }
        let live = parts.instruments.session(|| match resumed {
            Some(id) => id.to_string(),
            None => format!("new in {}", surroundings.workspace.root().display()),
        });
        let inner = Inner {
            parts,
            live,
            surroundings,
            resumed,
            conversation: Mutex::new(conversation),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The folder that the agent works in.
    pub fn workspace(&self) -> &Path {
        self.inner.surroundings.workspace.root()
    }

    /// The stored session that this one goes on with; none for a new one, whose id comes with its first event.
    pub fn resumed(&self) -> Option<SessionId> {
        self.inner.resumed
    }

    /// What a person allowed for the rest of the session, so far.
    pub fn grants(&self) -> Grants {
        self.inner.surroundings.grants.borrow().clone()
    }

    /// Goes on with what a person allowed while this session was open before, for a program that closes a session
    /// between two runs although the person is still the same.
    pub fn allow_again(&self, grants: Grants) {
        // What the history brought in is not forgotten with what a person allowed.
        self.inner.surroundings.grants.send_modify(|now| {
            let source = now.distrusted().map(str::to_owned);
            *now = grants;
            if let Some(source) = source {
                now.distrust(&source);
            }
        });
    }

    /// Gives the agent something to do. The run is a task of the agent's lifecycle: it goes on while its events are
    /// read, and ends by itself, by [`TurnControl::cancel`], by its limits, or with the program.
    ///
    /// A session does one run at a time; another one waits until it has ended.
    pub fn run(&self, prompt: impl Into<String>, limits: RunLimits) -> TurnHandle {
        self.inner.live.touch();
        let lifecycle = &self.inner.parts.lifecycle;
        let stopper = Stopper::new(&lifecycle.token());
        let (control, shared) = TurnControl::new(stopper.clone());
        let (sender, events) = mpsc::channel(EVENT_CHANNEL);
        let run = Run {
            session: Arc::clone(&self.inner),
            last_word: LastWord {
                sender: Some(sender.clone()),
                session_id: String::new(),
            },
            emitter: Emitter::new(sender, stopper.clone()),
            control: shared,
            limits,
            begun: Instant::now(),
            invocation: self.inner.parts.instruments.invocation(),
        };
        let join = lifecycle.spawn("agent run", run.supervised(prompt.into()));
        TurnHandle {
            events,
            control,
            join,
        }
    }
}

impl Surroundings {
    async fn new(parts: &AgentParts, workspace: Workspace) -> Self {
        let (beneath, limit) = (workspace.clone(), parts.settings.instructions_max_bytes);
        let read = tokio::task::spawn_blocking(move || instructions::read(&beneath, limit)).await;
        let (files, warnings) = read.unwrap_or_else(|error| {
            (
                Vec::new(),
                vec![format!("the project's instructions were not read: {error}")],
            )
        });
        let names = parts.tools.names();
        let role = prompt::system(&prompt::Facts {
            workspace: &workspace.root().display().to_string(),
            date: &chrono::Local::now().format("%Y-%m-%d").to_string(),
            os: std::env::consts::OS,
            tools: &names,
            permission_mode: &parts.policy.mode.to_string(),
            headless: !parts.policy.interactive,
        });
        let instructions = instructions::block(&files).map(|text| parts.redactor.redact(&text).into_owned());
        let mut policy = parts.policy.clone();
        policy.rules = policy.rules.with_workspace(workspace.root().to_owned());
        Self {
            system: system(role, instructions),
            tools: parts.tools.definitions(),
            grants: watch::Sender::default(),
            may_read: path_filter(&policy, workspace.root()),
            policy,
            workspace,
            warnings,
        }
    }

    /// How much of every prompt this is.
    fn bytes(&self) -> u64 {
        let length = |json: serde_json::Result<String>| json.map_or(0, |text| text.len() as u64);
        length(serde_json::to_string(&self.system)) + length(serde_json::to_string(&self.tools))
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("workspace", &self.workspace)
            .finish_non_exhaustive()
    }
}

/// The last block is a cache breakpoint of its own, next to the one that moves along with the conversation: the server
/// looks back a limited number of blocks for what it has cached, and a long turn can leave its beginning out of sight.
fn system(role: String, instructions: Option<String>) -> SystemPrompt {
    let mut blocks: Vec<TextBlock> = std::iter::once(role)
        .chain(instructions)
        .map(|text| TextBlock {
            text,
            ..TextBlock::default()
        })
        .collect();
    if let Some(last) = blocks.last_mut() {
        last.cache_control = Some(CacheControl::ephemeral());
    }
    SystemPrompt::Blocks(blocks.into_iter().map(ContentBlock::Text).collect())
}

/// What listings and searches leave out is what a read by name would be denied.
fn path_filter(policy: &Policy, root: &Path) -> PathFilter {
    let (policy, root) = (policy.clone(), root.to_owned());
    Arc::new(move |path| {
        let path = path.to_str().and_then(|path| check_relative(&root, path).ok());
        // A name that no call could spell can't be judged, and what is not judged is not shown.
        path.is_some_and(|path| {
            !matches!(
                policy.decide("read_file", &[Action::Read(&path)]),
                Verdict::Deny { .. }
            )
        })
    })
}

/// The task of one run.
struct Run {
    session: Arc<Inner>,
    emitter: Emitter,
    control: Arc<Shared>,
    limits: RunLimits,
    begun: Instant,
    invocation: Invocation,
    last_word: LastWord,
}

impl Run {
    /// The run, stopped when its time is over or its reader has gone.
    async fn supervised(mut self, prompt: String) -> Finished {
        let (emitter, stopper, timeout) = (
            self.emitter.clone(),
            self.control.stopper.clone(),
            self.limits.timeout,
        );
        let finished = {
            let place = self.invocation.context();
            let work = within(place, self.work(prompt));
            let deadline = tokio::time::sleep(timeout);
            tokio::pin!(work, deadline);
            loop {
                let cause = tokio::select! {
                    biased;
                    finished = &mut work => break finished,
                    () = stopper.token().cancelled() => break work.await,
                    () = &mut deadline => StopCause::Deadline,
                    () = emitter.reader_gone() => StopCause::ReaderGone,
                };
                stopper.stop(cause);
            }
        };
        self.last_word.said();
        self.invocation.end(finished.outcome);
        // Whoever reads the end may start another run, or open the session elsewhere, at once.
        drop(self);
        emitter.emit(AgentEvent::Finished(finished.clone())).await;
        finished
    }

    async fn work(&mut self, prompt: String) -> Finished {
        let session = Arc::clone(&self.session);
        let mut conversation = tokio::select! {
            biased;
            conversation = session.conversation.lock() => conversation,
            () = self.control.stopper.token().cancelled() => {
                let cause = self.control.stopper.cause().unwrap_or(StopCause::User);
                return self.finished(report::stopped(cause), Progress::default(), None);
            }
        };
        if prompt.trim().is_empty() {
            return self.finished(report::empty_prompt(), Progress::default(), None);
        }
        let conversation = match self.conversation(&mut conversation, &prompt).await {
            Ok(conversation) => conversation,
            Err(error) => return self.finished(report::store(&error), Progress::default(), None),
        };
        self.last_word.session_id = conversation.id().to_string();
        self.invocation.of_session(&self.last_word.session_id);
        self.introduce(conversation).await;
        let (parts, settings) = (&self.session.parts, &self.session.parts.settings);
        let ledger = Ledger::new(
            parts.prices.clone(),
            settings.model.clone(),
            self.limits.max_budget_usd,
        );
        let mut turn = Turn {
            parts,
            surroundings: &self.session.surroundings,
            session: &self.session.live,
            conversation,
            emitter: &self.emitter,
            control: &self.control,
            max_turns: self.limits.max_turns,
            ledger,
            progress: Progress::default(),
        };
        let end = turn.run(prompt).await;
        let (progress, ledger) = (turn.progress, turn.ledger);
        for text in self.control.close_steers() {
            self.emitter
                .warn(format!("this came too late to be put in, send it again: {text}"))
                .await;
        }
        self.finished(end, progress, Some(&ledger))
    }

    /// The session's conversation; a new session is stored now.
    async fn conversation<'a>(
        &self,
        slot: &'a mut Option<Conversation>,
        prompt: &str,
    ) -> Result<&'a mut Conversation, StoreError> {
        match slot {
            Some(conversation) => {
                if conversation.history().entries().is_empty() {
                    self.name_untitled(conversation.id(), prompt).await?;
                }
                Ok(conversation)
            }
            None => {
                let Surroundings { workspace, .. } = &self.session.surroundings;
                let parts = &self.session.parts;
                let new = NewSession {
                    workspace: workspace.root().to_owned(),
                    model: parts.settings.model.clone(),
                    title: Some(self.title(prompt)),
                };
                let bytes = self.session.surroundings.bytes();
                Ok(slot.insert(Conversation::create(&parts.store, new, bytes).await?))
            }
        }
    }

    /// A session that was stored before its first prompt may have no title yet.
    async fn name_untitled(&self, id: SessionId, prompt: &str) -> Result<(), StoreError> {
        let store = &self.session.parts.store;
        match store.get(&id).await?.title.is_empty() {
            true => store.rename(&id, &self.title(prompt)).await,
            false => Ok(()),
        }
    }

    fn title(&self, prompt: &str) -> String {
        title::from_prompt(&self.session.parts.redactor.redact(prompt))
    }

    async fn introduce(&self, conversation: &Conversation) {
        let (parts, surroundings) = (&self.session.parts, &self.session.surroundings);
        let first = conversation.history().entries().is_empty();
        let distrusted = surroundings.grants.borrow().distrusted().map(str::to_owned);
        self.emitter
            .emit(AgentEvent::SessionStarted {
                session_id: conversation.id().to_string(),
                model: parts.settings.model.clone(),
                workspace: surroundings.workspace.root().display().to_string(),
                permission_mode: parts.policy.mode.to_string(),
                tools: parts.tools.names(),
                resumed: !first,
                distrusted,
            })
            .await;
        if first {
            for warning in &surroundings.warnings {
                self.emitter.warn(warning.as_str()).await;
            }
        }
    }

    fn finished(&self, end: End, progress: Progress, ledger: Option<&Ledger>) -> Finished {
        Finished {
            outcome: end.outcome,
            session_id: self.last_word.session_id.clone(),
            turns: progress.turns,
            text: progress.text,
            usage: ledger.map_or_else(UsageTotals::default, Ledger::totals),
            cost_usd: ledger.map_or(Some(0.0), Ledger::spent),
            duration_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: end.error,
        }
    }
}

/// Says that the run has ended when it could not say so itself: it was refused, aborted, or panicked.
struct LastWord {
    sender: Option<mpsc::Sender<AgentEvent>>,
    session_id: String,
}

impl LastWord {
    fn said(&mut self) {
        self.sender = None;
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        let End { outcome, error } = report::internal("the run ended without a result");
        let finished = Finished {
            outcome,
            session_id: std::mem::take(&mut self.session_id),
            turns: 0,
            text: String::new(),
            usage: UsageTotals::default(),
            cost_usd: None,
            duration_ms: 0,
            error,
        };
        if sender.try_send(AgentEvent::Finished(finished)).is_err() {
            tracing::error!("a run ended without a result, and its reader could not be told");
        }
    }
}
