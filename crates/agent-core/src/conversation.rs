//! One session's messages, stored and in memory: the two never differ.
//!
//! A message counts once it is durable. When the store fails, the message is not in memory either; and because a
//! failed call may have been committed all the same, the next run reads the session anew.

use agent_claude::messages::{Content, ContentBlock, Role, Usage};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::history::{Entry, History};
use crate::session::{
    Context, NewMessage, NewSession, SessionClaim, SessionId, SessionStore, StoreError, StoredMessage,
    Summary,
};

/// An open session that only this value appends to.
#[derive(Debug)]
pub(crate) struct Conversation {
    store: SessionStore,
    id: SessionId,
    _claim: SessionClaim,
    history: History,
    fixed_bytes: u64,
    doubtful: bool,
}

/// What one request used and cost; the cost is none when the price is not known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spent {
    pub(crate) usage: Usage,
    pub(crate) cost_usd: Option<f64>,
}

impl Conversation {
    pub(crate) async fn create(
        store: &SessionStore,
        new: NewSession,
        fixed_bytes: u64,
    ) -> Result<Self, StoreError> {
        let id = store.create(new).await?;
        let claim = store.claim(&id).await?;
        let history = History::new(None, Vec::new(), fixed_bytes);
        Ok(Self {
            store: store.clone(),
            id,
            _claim: claim,
            history,
            fixed_bytes,
            doubtful: false,
        })
    }

    /// Goes on with a session; gives also what is known of it.
    pub(crate) async fn resume(
        store: &SessionStore,
        id: SessionId,
        fixed_bytes: u64,
    ) -> Result<Self, StoreError> {
        let claim = store.claim(&id).await?;
        let history = history(store.load_context(&id).await?, fixed_bytes);
        Ok(Self {
            store: store.clone(),
            id,
            _claim: claim,
            history,
            fixed_bytes,
            doubtful: false,
        })
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// What the API counted for the last prompt, sent at `asked_at`; the answer to it is already stored.
    pub(crate) fn measure(&mut self, usage: &Usage, asked_at: Instant) {
        self.history.measure(usage, 1, asked_at);
    }

    /// Reads the session anew if a call of the store failed since.
    pub(crate) async fn refresh(&mut self) -> Result<(), StoreError> {
        if self.doubtful {
            self.history = history(self.store.load_context(&self.id).await?, self.fixed_bytes);
            self.doubtful = false;
        }
        Ok(())
    }

    /// Stores a message; durable on return.
    pub(crate) async fn append(
        &mut self,
        role: Role,
        content: Vec<ContentBlock>,
        spent: Option<Spent>,
    ) -> Result<u64, StoreError> {
        let raw = Content::Blocks(content).to_raw();
        // Until it is known to have succeeded, also when this future is dropped.
        self.doubtful = true;
        let seqs = self
            .store
            .append(&self.id, vec![message(role, &raw, spent)])
            .await?;
        let seq = seqs
            .first()
            .copied()
            .expect("one message was appended, so it has a number");
        self.doubtful = false;
        self.history.push(Entry {
            seq,
            role,
            content: raw,
        });
        Ok(seq)
    }

    /// Replaces the first `cut` messages, up to `upto_seq`, by `summary`.
    pub(crate) async fn compact(
        &mut self,
        cut: usize,
        upto_seq: u64,
        summary: String,
        spent: Spent,
    ) -> Result<(), StoreError> {
        let raw = Content::Text(summary).to_raw();
        self.doubtful = true;
        self.store
            .compact(&self.id, upto_seq, message(Role::User, &raw, Some(spent)))
            .await?;
        self.doubtful = false;
        self.history.compact(
            Entry {
                seq: upto_seq,
                role: Role::User,
                content: raw,
            },
            cut,
        );
        Ok(())
    }

    /// Books what a request used that gave no message. A failure is only logged: the run's own count has it.
    pub(crate) async fn record(&self, spent: Spent) {
        if let Err(error) = self
            .store
            .record_usage(&self.id, spent.usage, spent.cost_usd)
            .await
        {
            tracing::warn!(session = %self.id, %error, "usage was not recorded");
        }
    }
}

fn message(role: Role, raw: &RawValue, spent: Option<Spent>) -> NewMessage {
    let (usage, cost_usd) = spent.map_or((None, None), |spent| (Some(spent.usage), spent.cost_usd));
    NewMessage {
        role,
        content: raw.to_owned(),
        usage,
        cost_usd,
    }
}

fn history(context: Context, fixed_bytes: u64) -> History {
    let summary = context.summary.map(
        |Summary {
             upto_seq,
             role,
             content,
             ..
         }| Entry {
            seq: upto_seq,
            role,
            content,
        },
    );
    let entry = |StoredMessage {
                     seq, role, content, ..
                 }| Entry { seq, role, content };
    History::new(
        summary,
        context.messages.into_iter().map(entry).collect(),
        fixed_bytes,
    )
}
