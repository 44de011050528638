//! The loop's part in compaction: when to do it, paying for it, and what happens when it fails.

use super::Turn;
use crate::ask::Show;
use crate::compaction::{self, Window};
use crate::event::AgentEvent;
use crate::report::{self, End};

impl Turn<'_> {
    fn window(&self) -> Window {
        let settings = &self.parts.settings;
        Window {
            tokens: settings.context_window(),
            answer: u64::from(settings.answer_tokens()),
            percent: settings.compact_at_percent,
        }
    }

    pub(super) async fn compact_if_needed(&mut self) -> Result<(), End> {
        let needed = self.conversation.history().estimate().total() > self.window().threshold();
        if needed && !self.progress.compaction_failed {
            self.compact().await?;
        }
        Ok(())
    }

    /// The window is really full: true when compaction made room, which it is asked to do once a run.
    pub(super) async fn make_room(&mut self) -> Result<bool, End> {
        if self.progress.made_room {
            return Ok(false);
        }
        self.progress.made_room = true;
        self.compact().await
    }

    /// Replaces the old part of the conversation by a summary. False, with a warning, when that did not work: the
    /// conversation is then as it was.
    async fn compact(&mut self) -> Result<bool, End> {
        let window = self.window();
        let history = self.conversation.history();
        let (messages_before, tokens_before) = (history.entries().len() as u64, history.estimate().total());
        let Some(plan) = compaction::plan(history, window, &self.parts.settings.model) else {
            return Ok(self.compaction_failed("nothing in it can be summarised").await);
        };
        let prompt = plan.estimate();
        if self.ledger.reserve(prompt, plan.request.max_tokens) != Ok(plan.request.max_tokens) {
            return Ok(self
                .compaction_failed("the budget does not allow a summary")
                .await);
        }
        let answer = match self.send(&plan.request, prompt, Show::Nothing).await {
            Ok(answer) => answer,
            Err(error) => {
                self.check_stop()?;
                return Ok(self.compaction_failed(&error.to_string()).await);
            }
        };
        let spent = self.settle_answer(&answer).await;
        let summary = match compaction::summary(&answer.message) {
            Ok(summary) => summary,
            Err(why) => {
                self.conversation.record(spent).await;
                return Ok(self.compaction_failed(&why).await);
            }
        };
        let stored = self
            .conversation
            .compact(plan.cut, plan.upto_seq, summary, spent)
            .await;
        stored.map_err(|error| report::store(&error))?;
        self.parts.instruments.compaction(true);
        let tokens_after = self.conversation.history().estimate().total();
        self.emitter
            .emit(AgentEvent::Compacted {
                messages_before,
                tokens_before,
                tokens_after,
            })
            .await;
        Ok(true)
    }

    async fn compaction_failed(&mut self, why: &str) -> bool {
        self.progress.compaction_failed = true;
        self.parts.instruments.compaction(false);
        let message = format!(
            "the conversation is near the end of the model's window and could not be summarised ({why}); it goes on as \
             it is until the window is full"
        );
        self.emitter.warn(message).await;
        false
    }
}
