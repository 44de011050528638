//! The loop: ask, run the tools that were asked for, ask again, until the model is done or something ends it.
//!
//! Each step returns the next one. What ends a run is a value too ([`End`]), so there is one place that reports it.

mod compacting;

use std::sync::Arc;

use agent_claude::error::ClaudeResult;
use agent_claude::messages::{
    CacheControl, ContentBlock, Message, MessageRequest, Role, StopReason, Thinking, ToolResultBlock,
    ToolUseBlock, Usage,
};

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::agent::AgentParts;
use crate::ask::{Answer, Asked, Show, ask};
use crate::calls::CallRunner;
use crate::control::Shared;
use crate::conversation::{Conversation, Spent};
use crate::emitter::Emitter;
use crate::event::{AgentEvent, Outcome};
use crate::instruments::Live;
use crate::limits::{Ledger, PromptEstimate, Refused};
use crate::report::{self, Denied, End};
use crate::session_handle::Surroundings;

/// Answers in a row that reach their token limit inside a tool call. The model is told each time; one that doesn't
/// change its ways would go on until the turns run out.
const MAX_CUT_ANSWERS: u32 = 3;

/// What the model is told of calls that a crash or a failed store left without a result.
const INTERRUPTED: &str = "interrupted: the agent stopped before this call ended. Whether it had any effect is not known; look before you repeat it.";

/// What comes next.
enum Step {
    /// Send the conversation.
    Ask,
    /// Run what the answer asked for.
    UseTools { calls: Vec<ToolUseBlock>, cut: bool },
    /// Stop.
    End(End),
}

/// One run.
pub(crate) struct Turn<'a> {
    pub(crate) parts: &'a AgentParts,
    pub(crate) surroundings: &'a Surroundings,
    /// The session's entry among what is alive.
    pub(crate) session: &'a Live,
    pub(crate) conversation: &'a mut Conversation,
    pub(crate) emitter: &'a Emitter,
    pub(crate) control: &'a Shared,
    pub(crate) max_turns: u32,
    pub(crate) ledger: Ledger,
    pub(crate) progress: Progress,
}

/// What a run has come to so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Answers that were received.
    pub(crate) turns: u32,
    /// The text of the last answer that had any.
    pub(crate) text: String,
    /// What the policy refused.
    denied: Denied,
    /// Answers in a row that were cut inside a tool call.
    cut_answers: u32,
    /// Compaction failed; it is not tried again in this run unless the window is really full.
    pub(super) compaction_failed: bool,
    /// The window was full once and compaction made room; a second time it could not.
    pub(super) made_room: bool,
}

impl Turn<'_> {
    /// Runs to the end.
    pub(crate) async fn run(&mut self, prompt: String) -> End {
        let mut step = match self.begin(prompt).await {
            Ok(()) => Step::Ask,
            Err(end) => return end,
        };
        loop {
            let next = match step {
                Step::Ask => self.ask().await,
                Step::UseTools { calls, cut } => self.use_tools(&calls, cut).await,
                Step::End(end) => return end,
            };
            step = next.unwrap_or_else(Step::End);
        }
    }

    /// Stores the prompt, and before it, in the same message, results for calls that an earlier run left without.
    async fn begin(&mut self, prompt: String) -> Result<(), End> {
        self.conversation
            .refresh()
            .await
            .map_err(|error| report::store(&error))?;
        let unanswered = self.conversation.history().unanswered();
        let results = unanswered
            .into_iter()
            .map(|id| ToolResultBlock::failure(id, INTERRUPTED).into());
        let prompt = self.parts.redactor.redact(&prompt).into_owned();
        let content = results.chain([ContentBlock::text(prompt)]).collect();
        self.store(Role::User, content, None).await
    }

    async fn ask(&mut self) -> Result<Step, End> {
        self.check_stop()?;
        if self.progress.turns >= self.max_turns {
            return Err(report::max_turns(self.max_turns));
        }
        self.compact_if_needed().await?;
        let prompt = self.conversation.history().estimate();
        let max_tokens = self.reserve(prompt, self.parts.settings.answer_tokens())?;
        self.emitter
            .emit(AgentEvent::TurnStarted {
                turn: self.progress.turns + 1,
            })
            .await;
        let asked_at = Instant::now();
        let asked = self.send(&self.request(max_tokens), prompt, Show::Deltas).await;
        match asked {
            Ok(answer) => {
                self.progress.turns += 1;
                self.parts.instruments.turn();
                self.session.touch();
                self.take_answer(answer, max_tokens, asked_at).await
            }
            Err(error) if report::is_prompt_too_long(&error) && self.make_room().await? => Ok(Step::Ask),
            Err(error) => {
                self.check_stop()?;
                Err(report::upstream(&error, &self.parts.settings.model))
            }
        }
    }

    /// Stores the answer and says what it asks for.
    async fn take_answer(&mut self, answer: Answer, max_tokens: u32, asked_at: Instant) -> Result<Step, End> {
        let spent = self.settle_answer(&answer).await;
        let usage = answer.prompt_usage();
        let Answer { mut message, .. } = answer;
        if message.stop_reason == Some(StopReason::ModelContextWindowExceeded) && self.make_room().await? {
            self.conversation.record(spent).await;
            let reason = "the conversation filled the model's window and was compacted".to_owned();
            self.emitter.emit(AgentEvent::TurnRestarted { reason }).await;
            return Ok(Step::Ask);
        }
        mark_cut_call(&mut message);
        let calls: Vec<ToolUseBlock> = message.tool_uses().cloned().collect();
        let content = sendable(std::mem::take(&mut message.content));
        let text: String = content.iter().filter_map(ContentBlock::as_text).collect();
        if !text.is_empty() {
            self.progress.text = text;
        }
        self.store(Role::Assistant, content, Some(spent)).await?;
        self.conversation.measure(&usage, asked_at);
        self.next_step(&message, calls, max_tokens).await
    }

    async fn next_step(
        &mut self,
        message: &Message,
        calls: Vec<ToolUseBlock>,
        max_tokens: u32,
    ) -> Result<Step, End> {
        let cut = message.stop_reason == Some(StopReason::MaxTokens);
        match &message.stop_reason {
            Some(StopReason::EndTurn | StopReason::ToolUse | StopReason::MaxTokens) if !calls.is_empty() => {
                Ok(Step::UseTools { calls, cut })
            }
            Some(StopReason::EndTurn) => self.end_or_go_on().await,
            // The server paused a long turn: the conversation goes back as it is.
            Some(StopReason::PauseTurn) => Ok(Step::Ask),
            Some(StopReason::MaxTokens) => Err(self.cut_short(max_tokens)),
            Some(StopReason::Refusal) => Err(report::refusal(message)),
            Some(StopReason::ModelContextWindowExceeded) => Err(report::context_full()),
            other => Err(report::unknown_stop(other.as_ref().map(StopReason::as_str))),
        }
    }

    /// The model is done, unless something was put in meanwhile.
    async fn end_or_go_on(&mut self) -> Result<Step, End> {
        let steers = self.control.take_steers_or_close();
        if steers.is_empty() {
            let refused = !self.parts.policy.interactive || self.control.deserted.is_cancelled();
            return Ok(Step::End(match self.progress.denied.is_empty() || !refused {
                true => End {
                    outcome: Outcome::Done,
                    error: None,
                },
                false => report::denied(&self.progress.denied),
            }));
        }
        self.store_with_steers(Vec::new(), steers).await?;
        Ok(Step::Ask)
    }

    async fn use_tools(&mut self, calls: &[ToolUseBlock], cut: bool) -> Result<Step, End> {
        let answers = self.call_runner().run(calls).await;
        self.progress.denied.add(answers.denied);
        let results = answers.results.into_iter().map(ContentBlock::from).collect();
        // What was put in goes to the model only if there is a next request.
        let steers = match self.control.stopper.cause() {
            None => self.control.take_steers(),
            Some(_) => Vec::new(),
        };
        self.store_with_steers(results, steers).await?;
        self.progress.cut_answers = if cut { self.progress.cut_answers + 1 } else { 0 };
        if self.progress.cut_answers >= MAX_CUT_ANSWERS {
            return Err(self.cut_short(self.parts.settings.answer_tokens()));
        }
        Ok(Step::Ask)
    }

    async fn store_with_steers(
        &mut self,
        mut content: Vec<ContentBlock>,
        steers: Vec<String>,
    ) -> Result<(), End> {
        let steers: Vec<String> = steers
            .iter()
            .map(|text| self.parts.redactor.redact(text).into_owned())
            .collect();
        content.extend(steers.iter().map(ContentBlock::text));
        self.store(Role::User, content, None).await?;
        for text in steers {
            self.emitter.emit(AgentEvent::Steered { text }).await;
        }
        Ok(())
    }

    async fn store(
        &mut self,
        role: Role,
        content: Vec<ContentBlock>,
        spent: Option<Spent>,
    ) -> Result<(), End> {
        let stored = self.conversation.append(role, content, spent).await;
        let seq = stored.map_err(|error| report::store(&error))?;
        self.emitter
            .emit(AgentEvent::MessageStored {
                seq,
                role: role.as_str().to_owned(),
            })
            .await;
        Ok(())
    }

    /// Sends one request and books what broken answers to it used.
    pub(super) async fn send(
        &mut self,
        request: &MessageRequest,
        prompt: PromptEstimate,
        show: Show,
    ) -> ClaudeResult<Answer> {
        let client = self
            .parts
            .client
            .with_cancellation(self.control.stopper.token().clone());
        let ledger = &self.ledger;
        let affordable = |wasted: &[Usage]| ledger.reserve_again(wasted, prompt, request.max_tokens).ok();
        let instruments = &self.parts.instruments;
        let Asked { result, wasted } =
            ask(&client, request, self.emitter, instruments, show, affordable).await;
        for usage in wasted {
            let spent = self.settle(usage).await;
            self.conversation.record(spent).await;
        }
        result
    }

    /// Counts what an answer used: nothing, when it is a replay.
    pub(super) async fn settle_answer(&mut self, answer: &Answer) -> Spent {
        if answer.is_replay {
            // Free whatever the model's price, known or not.
            return self.tell_spent(Usage::default(), Some(0.0)).await;
        }
        self.settle(answer.message.usage.clone()).await
    }

    /// Counts what a request used, and tells it.
    async fn settle(&mut self, usage: Usage) -> Spent {
        let cost_usd = self.ledger.settle(&usage);
        self.tell_spent(usage, cost_usd).await
    }

    async fn tell_spent(&mut self, usage: Usage, cost_usd: Option<f64>) -> Spent {
        if let Some(usd) = cost_usd {
            self.parts.instruments.cost(usd);
        }
        self.emitter
            .emit(AgentEvent::UsageReported {
                input_tokens: usage.input_tokens.unwrap_or(0),
                output_tokens: usage.output_tokens.unwrap_or(0),
                cache_read_input_tokens: usage.cache_read_input_tokens.unwrap_or(0),
                cache_creation_input_tokens: usage.cache_creation_input_tokens.unwrap_or(0),
                cost_usd,
                total_cost_usd: self.ledger.spent(),
            })
            .await;
        Spent { usage, cost_usd }
    }

    fn request(&self, max_tokens: u32) -> MessageRequest {
        let settings = &self.parts.settings;
        let messages = self.conversation.history().messages();
        let mut request = MessageRequest::new(&settings.model, max_tokens, messages);
        request.system = Some(self.surroundings.system.clone());
        request.tools = self.surroundings.tools.clone();
        request.cache_control = Some(CacheControl::ephemeral());
        request.thinking = settings.thinking.then(Thinking::adaptive);
        request
    }

    fn reserve(&self, prompt: PromptEstimate, max_tokens: u32) -> Result<u32, End> {
        self.ledger
            .reserve(prompt, max_tokens)
            .map_err(|refused| match refused {
                Refused::UnknownPrice => report::unknown_price(&self.parts.settings.model),
                Refused::Exhausted { spent, limit } => report::over_budget(spent, limit),
            })
    }

    pub(super) fn check_stop(&self) -> Result<(), End> {
        self.control
            .stopper
            .cause()
            .map_or(Ok(()), |cause| Err(report::stopped(cause)))
    }

    /// The answer used all of its tokens, which are the model's, or what the budget had left.
    fn cut_short(&self, max_tokens: u32) -> End {
        match (
            max_tokens < self.parts.settings.answer_tokens(),
            self.ledger.limit().zip(self.ledger.spent()),
        ) {
            (true, Some((limit, spent))) => report::over_budget(spent, limit),
            _ => report::max_tokens(max_tokens),
        }
    }

    fn call_runner(&self) -> CallRunner<'_> {
        CallRunner {
            tools: &self.parts.tools,
            workspace: &self.surroundings.workspace,
            policy: &self.surroundings.policy,
            redactor: &self.parts.redactor,
            grants: &self.surroundings.grants,
            store: &self.parts.store,
            session: self.conversation.id(),
            may_read: Arc::clone(&self.surroundings.may_read),
            control: self.control,
            emitter: self.emitter,
            instruments: &self.parts.instruments,
            audit: &self.parts.audit,
            max_parallel: self.parts.settings.max_parallel_tools,
            window: self.parts.settings.context_window(),
        }
    }
}

/// A call cut off before its first argument looks like a whole one without arguments, and is none.
fn mark_cut_call(message: &mut Message) {
    if message.stop_reason == Some(StopReason::MaxTokens)
        && let Some(ContentBlock::ToolUse(call)) = message.content.last_mut()
        && call.input.as_object().is_some_and(Map::is_empty)
    {
        call.input = Value::String(String::new());
    }
}

/// What of an answer can be sent back: the API takes no text without letters, and only objects as a tool's input.
fn sendable(mut content: Vec<ContentBlock>) -> Vec<ContentBlock> {
    content.retain(|block| block.as_text().is_none_or(|text| !text.trim().is_empty()));
    for block in &mut content {
        if let ContentBlock::ToolUse(call) = block {
            call.wrap_incomplete_input();
        }
    }
    content
}
