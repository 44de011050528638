//! Accepts connections and owns them.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DrainReport;
use super::bind::Listeners;
use crate::parts::GatewaySettings;
use crate::pipeline::{Caller, Pipeline};

pub(super) async fn serve(
    pipeline: Arc<Pipeline>,
    _settings: GatewaySettings,
    stop: CancellationToken,
    listeners: Listeners,
) -> DrainReport {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listeners.tcp.accept() => accepted,
        };
        let Ok((stream, client)) = accepted else { continue };
        let Ok(local) = stream.local_addr() else { continue };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small events may be held back");
        }
        let pipeline = Arc::clone(&pipeline);
        connections.spawn(async move {
            let caller = Arc::new(Caller::tcp(client.ip(), local.ip(), false));
            let service = service_fn(move |request| {
                let (pipeline, caller) = (Arc::clone(&pipeline), Arc::clone(&caller));
                async move { Ok::<_, Infallible>(pipeline.serve(&caller, request).await) }
            });
            let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = serving.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    DrainReport::default()
}
