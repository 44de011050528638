//! Reading the configuration again while the daemon runs. A wrong one is refused whole; of a right one, what can change takes
//! effect at once, and what cannot is named.

use std::collections::HashMap;
use std::path::Path;

use agent_config::{Examined, Loaded, ProductionConfig, Sources};
use agent_gateway::{GatewayControl, LiveSettings, ReloadProblems, ReloadReport, ReloadRequest};
use agent_security::audit::{AuditEvent, AuditLog};
use serde_json::{Value, json};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use super::{check, service_manager};

/// The keys whose new values hold without a restart.
const LIVE: [&str; 3] = [
    "security.rate_limit_requests_per_minute",
    "server.allowed_hosts",
    "server.allowed_origins",
];

/// The configuration that runs, and what is needed to read it again.
pub(super) struct Reload {
    sources: Sources,
    running: ProductionConfig,
    /// Where the running value of each key was set.
    origins: HashMap<&'static str, String>,
    control: GatewayControl,
    audit: AuditLog,
}

impl Reload {
    pub(super) fn new(sources: Sources, loaded: &Loaded, control: GatewayControl, audit: AuditLog) -> Self {
        Self {
            sources,
            running: loaded.config.clone(),
            origins: origins(loaded.origins.iter()),
            control,
            audit,
        }
    }

    /// Reloads at each request and at each hang-up, one after the other. Ends when the gateway does.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<ReloadRequest>,
        mut hang_ups: Option<Signal>,
    ) {
        loop {
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                () = hung_up(&mut hang_ups) => None,
            };
            let by = if request.is_some() { "api" } else { "SIGHUP" };
            service_manager::reloading();
            let sources = self.sources.clone();
            // Files may lie on a slow disk. A panic in there is the end of this reload only.
            let examined = tokio::task::spawn_blocking(move || examine(&sources)).await;
            let outcome = match examined {
                Ok(Ok(examined)) => self.take(&examined, by),
                Ok(Err(problem)) => Err(vec![problem]),
                Err(_) => Err(vec![
                    "reading the configuration failed; this is a fault of the program".to_owned(),
                ]),
            };
            service_manager::reloaded();
            match &outcome {
                Ok(report) => tracing::info!(
                    by,
                    applied = ?report.applied,
                    needs_restart = ?report.needs_restart,
                    "read the configuration again"
                ),
                Err(problems) => tracing::error!(
                    by,
                    ?problems,
                    "the configuration is wrong; the running one was kept"
                ),
            }
            if let Some(request) = request {
                // Nobody waits for it any more: it is in the log.
                drop(request.answer.send(outcome));
            }
        }
    }

    fn take(&mut self, new: &Examined, by: &str) -> Result<ReloadReport, ReloadProblems> {
        if new.problems.count() > 0 {
            return Err(new.problems.as_slice().iter().map(ToString::to_string).collect());
        }
        let mut next = self.running.clone();
        next.security.rate_limit_requests_per_minute = new.config.security.rate_limit_requests_per_minute;
        next.server
            .allowed_hosts
            .clone_from(&new.config.server.allowed_hosts);
        next.server
            .allowed_origins
            .clone_from(&new.config.server.allowed_origins);
        // What is right only together with what needs a restart waits for the restart.
        if next.validate().is_err() {
            next = self.running.clone();
        }
        let applied = self.running.differences(&next);
        let waiting = next.differences(&new.config);
        if !applied.is_empty() || !waiting.is_empty() {
            let event = AuditEvent::Administered {
                act: "configuration reloaded".to_owned(),
                subject: format!(
                    "applied: {}; needs a restart: {}",
                    applied.join(", "),
                    waiting.join(", ")
                ),
                by: by.to_owned(),
            };
            self.audit
                .record(event)
                .map_err(|error| vec![error.to_string()])?;
        }
        let mut new_origins = origins(new.origins.iter());
        for key in &applied {
            if let Some(origin) = new_origins.remove(key) {
                self.origins.insert(key, origin);
            }
        }
        self.running = next;
        self.control.apply(live(&self.running));
        self.control.show(view(&self.running, &self.origins, &waiting));
        Ok(ReloadReport {
            unchanged: ProductionConfig::key_count() - applied.len() - waiting.len(),
            applied: applied.into_iter().map(str::to_owned).collect(),
            needs_restart: waiting.into_iter().map(str::to_owned).collect(),
        })
    }
}

/// The configuration as it is now, or why it can't be read a second time.
fn examine(sources: &Sources) -> Result<Examined, String> {
    // A pipe is empty after the first reading: that would be a configuration of defaults.
    if let Some(file) = sources.explicit_file.as_deref().filter(|file| is_no_file(file)) {
        return Err(format!(
            "{} is not a regular file and can be read only once; restart the daemon instead",
            file.display()
        ));
    }
    Ok(check::examine(sources))
}

fn is_no_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| !about.is_file())
}

fn live(config: &ProductionConfig) -> LiveSettings {
    LiveSettings {
        allowed_hosts: config.server.allowed_hosts.clone(),
        allowed_origins: config.server.allowed_origins.clone(),
        requests_per_minute: config.security.rate_limit_requests_per_minute,
    }
}

fn origins<'a>(
    entries: impl Iterator<Item = &'a agent_config::OriginEntry>,
) -> HashMap<&'static str, String> {
    entries
        .map(|entry| (entry.key, entry.origin.to_string()))
        .collect()
}

/// Every running value with its origin, secrets left out, and the keys whose new values wait for a restart.
fn view(config: &ProductionConfig, origins: &HashMap<&'static str, String>, waiting: &[&str]) -> Value {
    let values = config.to_json();
    let mut keys: Vec<_> = origins.iter().collect();
    keys.sort_unstable();
    let entry = |(key, origin): &(&&str, &String)| {
        json!({
            "key": key,
            "value": values.pointer(&format!("/{}", key.replace('.', "/"))),
            "origin": origin,
            "reloadable": LIVE.contains(*key),
        })
    };
    json!({ "values": keys.iter().map(entry).collect::<Vec<_>>(), "needs_restart": waiting })
}

/// What is shown before the first reload.
pub(super) fn first_view(loaded: &Loaded) -> Value {
    view(&loaded.config, &origins(loaded.origins.iter()), &[])
}

async fn hung_up(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}
