//! Sessions in embedded SQLite: what was said is on the disk before anyone is told that it was.
//!
//! [`SessionStore`] is the whole face. Inside, one thread writes (`writer`), a few connections read (`readers`), and
//! every other file is one group of statements. The store does not know what a turn is, in which order roles come,
//! or what a secret looks like: content comes in as bytes and goes out as the same bytes.

mod catalogue;
mod claims;
mod connection;
mod error;
mod export;
mod files;
mod fork;
mod markdown;
mod messages;
mod migration;
mod readers;
mod rows;
mod schema;
mod search;
mod spending;
mod store;
mod text;
mod types;
mod verify;
mod writer;

pub use claims::SessionClaim;
pub use error::StoreError;
pub use search::SearchHit;
pub use search::SearchQuery;
pub use search::Snippet;
pub use store::SessionStore;
pub use types::Context;
pub use types::Cost;
pub use types::CostScope;
pub use types::Fork;
pub use types::ListFilter;
pub use types::NewMessage;
pub use types::NewSession;
pub use types::SessionId;
pub use types::SessionInfo;
pub use types::StoredMessage;
pub use types::Summary;

/// The largest content of one message, in bytes: half of what the Messages API takes in a whole request.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// The largest context that is loaded, in bytes: eight times what the Messages API takes in a request.
pub const MAX_CONTEXT_BYTES: usize = 256 * 1024 * 1024;

/// Messages in one append, and in one page of [`SessionStore::messages`]. A turn stores two or three.
pub const MAX_BATCH: usize = 1_000;

/// The longest title (and name of a model), in bytes: a few lines of a terminal.
pub const MAX_TITLE_BYTES: usize = 512;

/// Sessions in one page of a list.
pub const MAX_LIST: usize = 1_000;

/// Hits of one search.
pub const MAX_HITS: usize = 200;

/// Sessions that an ambiguous id is said to mean.
pub const MAX_CANDIDATES: usize = 10;
