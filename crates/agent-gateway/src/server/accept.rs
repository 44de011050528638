//! Accepts connections, owns them, sweeps over them, and ends them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bind::Listeners;
use super::connection::Server;
use super::socket::Stream;
use super::tls::Tls;
use super::watched::{PhaseLimits, Seen, Verdict, Watched};
use super::{DrainReport, Figures};
use crate::parts::GatewaySettings;
use crate::pipeline::{Caller, Pipeline};

/// The pause after a failed accept, which fails again at once while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long cut connections get to be dropped.
const CUT_GRACE: Duration = Duration::from_secs(1);

pub(super) async fn serve(
    pipeline: Arc<Pipeline>,
    settings: GatewaySettings,
    figures: Figures,
    stop: CancellationToken,
    listeners: Listeners,
) -> DrainReport {
    let streams = TaskTracker::new();
    let mut connections = Connections {
        server: Arc::new(Server::new(pipeline, streams.clone())),
        tasks: JoinSet::new(),
        seen: HashMap::new(),
        limits: PhaseLimits::new(&settings.limits),
        max: settings.limits.max_connections.max(1),
        panicked: 0,
        figures,
    };
    let mut sweep = tokio::time::interval(connections.limits.interval());
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.tasks.join_next_with_id() => connections.forget(ended),
            _ = sweep.tick(), if !connections.seen.is_empty() => connections.sweep(),
            came = accept(&listeners), if connections.have_room() => match came {
                Ok(came) => connections.add(came, listeners.tls.as_ref()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listeners);
    streams.close();
    connections
        .drain(settings.drain_deadline, &mut sweep, &streams)
        .await
}

enum Came {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

async fn accept(listeners: &Listeners) -> io::Result<Came> {
    let unix = async {
        match &listeners.unix {
            Some(socket) => socket.accept().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        tcp = listeners.tcp.accept() => tcp.map(|(stream, client)| Came::Tcp(stream, client)),
        unix = unix => unix.map(Came::Unix),
    }
}

/// The connections that are open.
struct Connections {
    server: Arc<Server>,
    tasks: JoinSet<()>,
    seen: HashMap<Id, Seen>,
    limits: PhaseLimits,
    max: usize,
    panicked: usize,
    figures: Figures,
}

impl Connections {
    fn have_room(&self) -> bool {
        self.tasks.len() < self.max
    }

    fn add(&mut self, came: Came, tls: Option<&Arc<Tls>>) {
        let watched = Arc::new(Watched::default());
        let server = Arc::clone(&self.server);
        let task = match came {
            Came::Unix(stream) => {
                let serving = server.serve(Stream::Unix(stream), Caller::unix(), Arc::clone(&watched));
                self.tasks.spawn(serving)
            }
            Came::Tcp(stream, client) => {
                // A client that is gone already is no connection.
                let Ok(local) = stream.local_addr() else { return };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "small events may be held back");
                }
                let caller = Caller::tcp(client.ip(), local.ip(), tls.is_some());
                match tls {
                    None => self
                        .tasks
                        .spawn(server.serve(Stream::Tcp(stream), caller, Arc::clone(&watched))),
                    Some(tls) => {
                        let (acceptor, watched) = (tls.acceptor(), Arc::clone(&watched));
                        self.tasks.spawn(async move {
                            // Boxed: it is large, and the connection's task keeps the room for it.
                            let handshake = Box::pin(acceptor.accept(stream));
                            match watched.unless_cut(handshake).await {
                                Some(Ok(stream)) => {
                                    server.serve(Stream::Tls(Box::new(stream)), caller, watched).await;
                                }
                                Some(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                                None => tracing::debug!("a TLS handshake took too long"),
                            }
                        })
                    }
                }
            }
        };
        self.seen.insert(task.id(), Seen::new(watched, Instant::now()));
        self.figures.accepted(self.tasks.len());
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        if let Err(error) = ended
            && error.is_panic()
        {
            self.panicked += 1;
            tracing::error!(%error, "a connection's task panicked");
        }
        self.seen.remove(&id);
        self.figures.open(self.tasks.len());
    }

    fn sweep(&mut self) {
        let (now, crowded) = (Instant::now(), !self.have_room());
        for seen in self.seen.values_mut() {
            if seen.sweep(&self.limits, crowded, now) {
                self.figures.timed_out();
            }
        }
        self.figures.active();
    }

    async fn drain(
        mut self,
        deadline: Duration,
        sweep: &mut tokio::time::Interval,
        streams: &TaskTracker,
    ) -> DrainReport {
        let before = self.tasks.len();
        let now = Instant::now();
        for seen in self.seen.values_mut() {
            seen.end(Verdict::Finish, now);
        }
        let deadline = tokio::time::sleep(deadline);
        tokio::pin!(deadline);
        while !self.tasks.is_empty() {
            tokio::select! {
                () = &mut deadline => break,
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                _ = sweep.tick() => self.sweep(),
            }
        }
        let cut = self.tasks.len();
        self.tasks.shutdown().await;
        self.figures.open(0);
        // Streams notice the end of their connection at once.
        if tokio::time::timeout(CUT_GRACE, streams.wait()).await.is_err() {
            tracing::warn!(
                streams = streams.len(),
                "HTTP/2 streams outlived their connections"
            );
        }
        DrainReport {
            finished: before - cut,
            cut,
            panicked: self.panicked,
        }
    }
}
