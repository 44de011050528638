//! Sessions as wholes: list, search, create, show, rename, delete, fork; and their messages.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_core::session::{ListFilter, MAX_HITS, SearchHit, SearchQuery, SessionId, SessionInfo};
use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::types::{MessagePage, NewFork, NewSession, Session, SessionChange, SessionPage};
use super::{AgentApi, failures};
use crate::answer::{Answer, AnswerBody, Refusal, json};
use crate::input::{Kind, Parameter, Query, json_body, json_body_or_default};
use crate::pipeline::RequestBody;

/// Sessions in one answer, at most.
const MAX_PAGE: u64 = 200;

/// Messages in one answer, at most: their bytes have a limit of their own in the store.
const MAX_MESSAGES: u64 = 500;

/// When a place for another page of messages may be free: a client that reads takes some milliseconds.
const PAGE_RETRY: Duration = Duration::from_secs(1);

pub(crate) static LIST_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "query",
        // The store takes 1,024 bytes.
        kind: Kind::Text { max_chars: 256 },
        help: "Only sessions in whose messages all of these words occur, in any order; \"two words\" is a phrase, wor* any \
               word that begins so.",
    },
    Parameter {
        name: "workspace",
        kind: Kind::Text { max_chars: 4096 },
        help: "Only sessions of this folder, as it stands in the session.",
    },
    Parameter {
        name: "limit",
        kind: Kind::Integer {
            min: 1,
            max: MAX_PAGE,
            default: Some(50),
        },
        help: "Sessions in the answer, at most.",
    },
    Parameter {
        name: "offset",
        kind: Kind::Integer {
            min: 0,
            max: u32::MAX as u64,
            default: Some(0),
        },
        help: "How many sessions to leave out first: `next_offset` of the page before.",
    },
];

pub(crate) static MESSAGES_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "first",
        kind: Kind::Integer {
            min: 1,
            max: u32::MAX as u64,
            default: Some(1),
        },
        help: "The `seq` of the first message: `next_first` of the page before.",
    },
    Parameter {
        name: "limit",
        kind: Kind::Integer {
            min: 1,
            max: MAX_MESSAGES,
            default: Some(100),
        },
        help: "Messages in the answer, at most.",
    },
];

/// A page of messages that is in memory, and its place among those.
struct Page {
    bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AgentApi {
    pub(super) async fn list_sessions(&self, request: &Request<RequestBody>) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), LIST_PARAMETERS)?;
        let number = |name| {
            query
                .integer(name)
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(0)
        };
        let (limit, offset) = (number("limit"), number("offset"));
        let workspace = query.text("workspace").map(PathBuf::from);
        let mut sessions = match query.text("query") {
            Some(text) => self.search(text, workspace, offset, limit + 1).await?,
            None => {
                // One more than asked for says whether there is another page.
                let filter = ListFilter {
                    workspace,
                    limit: limit + 1,
                    offset,
                };
                let found = self
                    .store
                    .list(filter)
                    .await
                    .map_err(|error| failures::of_store(&error))?;
                found.into_iter().map(|info| self.shown(info)).collect()
            }
        };
        let next_offset = (sessions.len() > limit).then_some((offset + limit) as u64);
        sessions.truncate(limit);
        Ok(json(
            StatusCode::OK,
            &SessionPage {
                sessions,
                next_offset,
            },
        ))
    }

    /// The sessions that were hit, in the order of their best hit.
    async fn search(
        &self,
        text: &str,
        workspace: Option<PathBuf>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Session>, Refusal> {
        let query = SearchQuery {
            text: text.to_owned(),
            workspace,
            session: None,
            limit: MAX_HITS,
        };
        let hits = self
            .store
            .search(query)
            .await
            .map_err(|error| failures::of_store(&error))?;
        let mut order: Vec<SessionId> = Vec::new();
        for hit in &hits {
            // At most MAX_HITS of them.
            if !order.contains(&hit.session) {
                order.push(hit.session);
            }
        }
        let page: Vec<SessionId> = order.into_iter().skip(offset).take(limit).collect();
        let infos = self
            .store
            .get_all(&page)
            .await
            .map_err(|error| failures::of_store(&error))?;
        let mut infos: HashMap<SessionId, SessionInfo> =
            infos.into_iter().map(|info| (info.id, info)).collect();
        let mut own: HashMap<SessionId, Vec<SearchHit>> = HashMap::new();
        for hit in hits {
            own.entry(hit.session).or_default().push(hit);
        }
        // One that was deleted since it was found is no hit any more.
        let found = page.into_iter().filter_map(|id| {
            let mut session = self.shown(infos.remove(&id)?);
            session.hits = own.remove(&id)?.into_iter().map(Into::into).collect();
            Some(session)
        });
        Ok(found.collect())
    }

    pub(super) async fn create_session(&self, request: Request<RequestBody>) -> Result<Answer, Refusal> {
        let (new, _) = json_body::<NewSession>(request).await?;
        let workspace = PathBuf::from(new.workspace.into_string());
        if !workspace.is_absolute() {
            return Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "`workspace` has to be an absolute path: the daemon has no folder that it could be relative to",
            ));
        }
        let title = new.title.map(crate::input::Text::into_string);
        let created = self.agent.create_session(&workspace, title).await;
        self.created(created.map_err(|error| failures::of_agent(&error))?)
            .await
    }

    pub(super) async fn fork_session(
        &self,
        id: SessionId,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let fork = json_body_or_default::<NewFork>(request).await?;
        let copy = self
            .store
            .fork(&id, fork.at.map(|at| at.get().into()))
            .await
            .map_err(|error| failures::of_store(&error))?;
        self.created(copy).await
    }

    async fn created(&self, id: SessionId) -> Result<Answer, Refusal> {
        let mut answer = json(StatusCode::CREATED, &self.session(id).await?);
        if let Ok(location) = HeaderValue::try_from(format!("/api/v1/sessions/{id}")) {
            answer.headers_mut().insert(LOCATION, location);
        }
        Ok(answer)
    }

    pub(super) async fn get_session(&self, id: SessionId) -> Result<Answer, Refusal> {
        Ok(json(StatusCode::OK, &self.session(id).await?))
    }

    pub(super) async fn rename_session(
        &self,
        id: SessionId,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let (change, _) = json_body::<SessionChange>(request).await?;
        let renamed = self.store.rename(&id, &change.title.into_string()).await;
        renamed.map_err(|error| failures::of_store(&error))?;
        self.get_session(id).await
    }

    pub(super) async fn delete_session(&self, id: SessionId) -> Result<Answer, Refusal> {
        if let Some(turn) = self.turns.active_in(id) {
            return Err(failures::conflict(
                "session-busy",
                format!(
                    "the session is at work on turn {turn}; cancel it first, and delete the session when it has ended"
                ),
            ));
        }
        self.store
            .delete(&id)
            .await
            .map_err(|error| failures::of_store(&error))?;
        self.turns.forget_session(id);
        let mut answer = Answer::new(AnswerBody::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Ok(answer)
    }

    pub(super) async fn list_messages(
        &self,
        id: SessionId,
        request: &Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let query = Query::read(request.uri(), MESSAGES_PARAMETERS)?;
        let (first, limit) = (
            query.integer("first").unwrap_or(1),
            query.integer("limit").unwrap_or(1),
        );
        let place = Arc::clone(&self.pages).try_acquire_owned().map_err(|_| {
            let detail = "as many pages of messages as allowed are being read; try again";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(PAGE_RETRY)
        })?;
        let info = self
            .store
            .get(&id)
            .await
            .map_err(|error| failures::of_store(&error))?;
        let found = self.store.messages(&id, first, limit).await;
        let found = found.map_err(|error| failures::of_store(&error))?;
        let next = found.last().map(|message| message.seq + 1);
        let page = MessagePage {
            next_first: next.filter(|next| *next <= info.messages),
            messages: found.into_iter().map(Into::into).collect(),
        };
        let (head, body) = json(StatusCode::OK, &page).into_parts();
        let bytes = body.whole().cloned().unwrap_or_default();
        // The place is free again when the client has the page.
        let held = Bytes::from_owner(Page { bytes, _place: place });
        Ok(Answer::from_parts(head, AnswerBody::from(held)))
    }

    async fn session(&self, id: SessionId) -> Result<Session, Refusal> {
        let info = self
            .store
            .get(&id)
            .await
            .map_err(|error| failures::of_store(&error))?;
        Ok(self.shown(info))
    }

    fn shown(&self, info: agent_core::session::SessionInfo) -> Session {
        let active = self.turns.active_in(info.id);
        Session::new(info, active)
    }
}
