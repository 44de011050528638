//! How many files and connections the process may have open: systems give far fewer than they would on request.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The store, its readers, figures, listeners, what the runtime keeps, and pipes of tools.
const OWN: u64 = 512;

/// Asks the system for as many as `connections` clients need, each with a connection to the API. What it gives is what
/// there is: more clients then wait, and the log says so.
pub(super) fn make_room(connections: u64) {
    let wanted = connections.saturating_mul(2).saturating_add(OWN);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let most = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit {
        current: Some(most),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files can't be raised");
    } else if most < wanted {
        tracing::warn!(
            given = most,
            wanted,
            "fewer open files than server.max_connections needs; raise the limit (ulimit -Hn) or lower the key"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_those_who_may_come_and_never_less_than_before() {
        let before = getrlimit(Resource::Nofile);
        make_room(0);
        let same = getrlimit(Resource::Nofile);
        assert!(same.current >= before.current || same.current.is_none());
        make_room(1024);
        let after = getrlimit(Resource::Nofile);
        let possible = after.maximum.map_or(2560, |maximum| maximum.min(2560));
        assert!(after.current.is_none_or(|current| current >= possible));
        assert_eq!(after.maximum, before.maximum);
    }
}
