//! What people allowed "for the session", kept between its turns.
//!
//! A session is open only while a turn runs in it, so that other programs can go on with it in between; what a person
//! allowed lives as long as this process remembers. It is never stored: tomorrow another person may ask.

use std::collections::HashMap;
use std::time::Duration;

use agent_core::session::SessionId;
use agent_security::permission::Grants;
use tokio::time::Instant;

/// Sessions whose grants are remembered; beyond, the one that was used least recently is asked again. A few kilobytes
/// each.
const MAX_SESSIONS: usize = 256;

/// How long after its last turn: a working day. Then it is asked again.
const KEPT: Duration = Duration::from_secs(8 * 3600);

#[derive(Debug, Default)]
pub(super) struct KeptGrants {
    of: HashMap<SessionId, (Instant, Grants)>,
}

impl KeptGrants {
    /// What is still allowed in `session`; none when nothing is.
    pub(super) fn get(&self, session: SessionId) -> Option<Grants> {
        let (used, grants) = self.of.get(&session)?;
        (used.elapsed() < KEPT).then(|| grants.clone())
    }

    pub(super) fn keep(&mut self, session: SessionId, grants: Grants) {
        if grants.is_empty() {
            return;
        }
        self.of.insert(session, (Instant::now(), grants));
        if self.of.len() > MAX_SESSIONS {
            let oldest = self
                .of
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(id, _)| *id);
            oldest.map(|id| self.of.remove(&id));
        }
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.of.remove(&session);
    }

    pub(super) fn sweep(&mut self) {
        self.of.retain(|_, (used, _)| used.elapsed() < KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_security::permission::Action;

    fn session(n: usize) -> SessionId {
        format!("0197d5a0-0000-7000-8000-{n:012}").parse().unwrap()
    }

    fn grants() -> Grants {
        let mut grants = Grants::default();
        grants
            .allow_for_session("bash", &[Action::Command("ls")])
            .unwrap();
        grants
    }

    #[tokio::test(start_paused = true)]
    async fn grants_last_for_their_time_and_are_bounded() {
        let mut kept = KeptGrants::default();
        kept.keep(session(0), Grants::default());
        assert!(kept.of.is_empty(), "nothing allowed, nothing kept");
        for n in 0..=MAX_SESSIONS {
            tokio::time::advance(Duration::from_secs(1)).await;
            kept.keep(session(n), grants());
        }
        assert!(kept.get(session(0)).is_none() && kept.get(session(1)).is_some());
        assert_eq!(kept.of.len(), MAX_SESSIONS);
        kept.forget(session(1));
        assert!(kept.get(session(1)).is_none());
        tokio::time::advance(KEPT).await;
        assert!(kept.get(session(2)).is_none());
        kept.sweep();
        assert!(kept.of.is_empty());
    }
}
