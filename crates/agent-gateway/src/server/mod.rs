//! Listening, accepting, and the end.

mod accept;
mod bind;
mod connection;
mod error;
mod figures;
mod framing;
mod handover;
mod serving;
mod socket;
mod streaming;
mod taken;
mod tls;
mod unix;
mod unparsed;
mod watched;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::MetricsCollector;

pub use error::BindError;
pub use tls::TlsError;

use figures::Figures;

use tokio::sync::mpsc;

use crate::parts::{GatewayParts, GatewaySettings, Sharing};
use crate::pipeline::Pipeline;
use crate::reload::{GatewayControl, ReloadRequest};

/// The gateway, bound and not yet serving.
pub struct Gateway {
    pipeline: Arc<Pipeline>,
    settings: GatewaySettings,
    lifecycle: Lifecycle,
    metrics: Option<MetricsCollector>,
    sharing: Option<Sharing>,
    listeners: bind::Listeners,
    addresses: Addresses,
}

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// With the port that it really got.
    pub tcp: SocketAddr,
    /// The Unix socket, where there is one.
    pub unix: Option<PathBuf>,
    /// Whether TCP connections are encrypted.
    pub encrypted: bool,
}

impl Addresses {
    /// What a client takes as its base URL.
    pub fn base_url(&self) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.tcp)
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were open when the end began and closed by themselves in time.
    pub finished: usize,
    /// Connections that were cut at the deadline.
    pub cut: usize,
    /// Connections whose task panicked, at any time since the start. Each was closed, and the others went on.
    pub panicked: usize,
}

impl Gateway {
    /// Opens every listener. Nothing is accepted before [`serve`](Self::serve).
    ///
    /// # Errors
    /// An address can't be listened on, certificate or key can't be used, or it would be reachable from other machines
    /// without credentials and TLS.
    pub async fn bind(parts: GatewayParts) -> Result<Self, BindError> {
        let listeners = bind::bind(&parts).await?;
        let addresses = listeners.addresses();
        Ok(Gateway {
            settings: parts.settings.clone(),
            lifecycle: parts.lifecycle.clone(),
            metrics: parts.metrics.clone(),
            sharing: parts.shared.clone(),
            pipeline: Arc::new(Pipeline::new(parts)?),
            listeners,
            addresses,
        })
    }

    /// Changes what can change while it runs.
    pub fn control(&self) -> GatewayControl {
        self.pipeline.control(&self.settings, self.sharing.clone())
    }

    /// Where clients' wishes to have the configuration read again arrive; bounded, and without it they are refused. Only the
    /// latest receiver gets them.
    pub fn reloads(&self) -> mpsc::Receiver<ReloadRequest> {
        self.pipeline.reloads()
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until the lifecycle's token is cancelled: then no connection is accepted any more, requests and turns in flight
    /// may end until the deadline, and what is left is cut or cancelled.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(self) -> DrainReport {
        let figures = Figures::new(self.metrics.as_ref(), Arc::clone(self.pipeline.metrics()));
        let renewal = self.listeners.tls.clone().map(|tls| {
            let stop = self.lifecycle.token();
            self.lifecycle.spawn("tls-renewal", async move {
                stop.run_until_cancelled(tls.keep_current()).await;
            })
        });
        // A turn needs no reader: it may end in the same time as requests, whether a connection waits for it or not.
        let (pipeline, stop, deadline) = (
            Arc::clone(&self.pipeline),
            self.lifecycle.token(),
            self.settings.drain_deadline,
        );
        let turns = async move {
            stop.cancelled().await;
            pipeline.api().drain(deadline).await;
        };
        let serving = accept::serve(
            self.pipeline,
            self.settings,
            figures,
            self.lifecycle.token(),
            self.listeners,
        );
        let (report, ()) = tokio::join!(serving, turns);
        if let Some(renewal) = renewal {
            renewal.abort();
        }
        report
    }
}
