//! What goes into the store and what comes out of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use agent_claude::messages::{Role, Usage};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Names a session: a UUID of version 7, so that ids sort by the time they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    pub(super) fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Eight characters to show in lists and to type: the *end* of the id. The beginning is a clock, and
    /// sessions that were made within the same minute share it.
    pub fn short(&self) -> String {
        let text = self.0.to_string();
        text[text.len() - 8..].to_owned()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The folder that the agent works in.
    pub workspace: PathBuf,
    /// The model that it starts with.
    pub model: String,
    /// A title, if there is one yet; at most [`MAX_TITLE_BYTES`](super::MAX_TITLE_BYTES).
    pub title: Option<String>,
}

/// A message to be stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Who speaks.
    pub role: Role,
    /// The content as it goes over the wire; kept byte for byte. At most
    /// [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    pub content: Box<RawValue>,
    /// What the request that gave this message used.
    pub usage: Option<Usage>,
    /// What it cost in US dollars; `None` with `usage` means that the price is not known.
    pub cost_usd: Option<f64>,
}

/// A message as it was stored.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// Its place in the session, from 1 and without gaps.
    pub seq: u64,
    /// Who speaks.
    pub role: Role,
    /// The very bytes that were appended.
    pub content: Arc<RawValue>,
    /// When it was stored.
    pub created: DateTime<Utc>,
}

/// Stands in a context for the messages before it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The last message that it stands for.
    pub upto_seq: u64,
    /// Who speaks it.
    pub role: Role,
    /// The very bytes that were given.
    pub content: Arc<RawValue>,
    /// When it was stored.
    pub created: DateTime<Utc>,
}

/// What a session goes on from.
#[derive(Clone, Debug)]
pub struct Context {
    /// The session.
    pub session: SessionInfo,
    /// What stands for the messages before `messages`, if the session was compacted.
    pub summary: Option<Summary>,
    /// The messages after the summary, in order.
    pub messages: Vec<StoredMessage>,
}

/// What is known of a session without reading its messages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// Its title; empty if it has none.
    pub title: String,
    /// The folder that the agent works in.
    #[serde(serialize_with = "lossy")]
    pub workspace: PathBuf,
    /// The model that it started with.
    pub model: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
    /// Where it was forked from, and after which message.
    pub forked_from: Option<Fork>,
    /// How many messages it has; the `seq` of the last.
    pub messages: u64,
    /// What it used since it was made (or forked: what was spent before stays with the original).
    pub cost: Cost,
    /// Where a stranger's words in it are from, when it holds any: then running something and asking hosts that are not listed is asked about.
    pub distrusted: Option<String>,
}

/// JSON has no bytes that are not text.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Where a session branched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fork {
    /// The session that was forked; it may have been deleted since.
    pub session: SessionId,
    /// The last message that both have.
    pub seq: u64,
}

/// What was used and paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Cost {
    /// US dollars, over the requests with a known price.
    pub usd: f64,
    /// Requests that were recorded.
    pub requests: u64,
    /// Those of them with no known price: where this is not 0, `usd` is too low.
    pub unpriced: u64,
    /// Uncached prompt tokens.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Prompt tokens read from the cache.
    pub cache_read_input_tokens: u64,
    /// Prompt tokens written to the cache.
    pub cache_creation_input_tokens: u64,
}

impl Cost {
    /// Tokens of the whole prompts, cached or not.
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_read_input_tokens)
            .saturating_add(self.cache_creation_input_tokens)
    }
}

/// What [`total_cost`](super::SessionStore::total_cost) adds up.
#[derive(Clone, Copy, Debug)]
pub enum CostScope {
    /// One session.
    Session(SessionId),
    /// Everything that was recorded from the first moment until just before the second, deleted sessions
    /// included: money stays spent. A day is midnight to midnight in the zone that the caller means.
    Between(DateTime<Utc>, DateTime<Utc>),
}

/// Which sessions to list, newest change first.
#[derive(Clone, Debug)]
pub struct ListFilter {
    /// Only those of this workspace.
    pub workspace: Option<PathBuf>,
    /// At most this many, and never more than [`MAX_LIST`](super::MAX_LIST).
    pub limit: usize,
    /// How many to leave out first.
    pub offset: usize,
}

impl Default for ListFilter {
    fn default() -> Self {
        Self {
            workspace: None,
            limit: 50,
            offset: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_of_one_moment_differ() {
        let ids: std::collections::HashSet<String> =
            (0..100).map(|_| SessionId::generate().short()).collect();
        assert_eq!(ids.len(), 100);
    }
}
