//! `serve`: the daemon, until it is told to stop.

use std::io::IsTerminal as _;
use std::net::SocketAddr;

use agent_config::{Loaded, ProductionConfig, Sources};
use agent_performance::instrumentation::SpanTimings;
use agent_performance::metrics::FacadeRecorder;

use super::Failure;
use super::exit::Exit;
use super::output::{self, Style};
use super::signals::Interrupts;
use crate::app::{Daemon, Doors, Keys, LogBuffer};

/// Serves until the first signal, then lets what is under way end. A second signal ends it at once.
pub(super) async fn execute(
    loaded: Loaded,
    sources: Sources,
    keys: &Keys,
    logs: LogBuffer,
    spans: &SpanTimings,
    quiet: bool,
) -> Result<Exit, Failure> {
    let (mut interrupts, hang_ups) = Interrupts::listen_as_daemon()?;
    let daemon = Daemon::build(&loaded, &sources.environment, keys, logs).await?;
    daemon.reload_from(sources, &loaded, hang_ups);
    if let Some(metrics) = daemon.metrics() {
        spans.connect(metrics);
        if let Err(error) = FacadeRecorder::install(metrics) {
            tracing::warn!(%error);
        }
    }
    if let Some(panics) = daemon.panics() {
        super::protect::note_panics(panics, keys.redactor());
    }
    announce(daemon.doors(), &loaded, keys, quiet)?;
    if let Some(why) = daemon.safe_mode() {
        output::note(&format!(
            "safe mode: turns of the agent and cached answers are off: {why}. Stop it in order to leave safe mode."
        ));
    }
    let stop = daemon.stopper();
    let serving = daemon.serve();
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended.map(|()| Exit::Done)?),
        () = interrupts.next() => stop.cancel(),
    }
    if !quiet {
        output::note("stopping: what is under way may end; once more ends it at once");
    }
    tokio::select! {
        ended = &mut serving => Ok(ended.map(|()| Exit::Done)?),
        () = interrupts.next() => Err(Failure::told(Exit::Cancelled)),
    }
}

/// Says where it listens, how a client gets in, and what is off. The token itself is not for terminals and their logs.
fn announce(doors: &Doors, loaded: &Loaded, keys: &Keys, quiet: bool) -> Result<(), Failure> {
    let config = &loaded.config;
    let url = base_url(doors.address, config);
    output::line(&format!("listening on {url}"))?;
    if quiet {
        return Ok(());
    }
    let Style { bold, dim, reset, .. } = Style::for_notes();
    let row =
        |name: &str, text: &str| output::note(&format!("  {dim}{name:<9}{reset} {}", output::visible(text)));
    if let Some(socket) = &doors.unix_socket {
        row("socket", &socket.display().to_string());
    }
    let token = doors.token_file.display().to_string();
    let made = if doors.is_token_new { ", made just now" } else { "" };
    row("token", &format!("{token} (yours alone{made})"));
    // A refusal by the upstream would look like one of ours.
    let key = match keys.ring().current() {
        Some(_) => "",
        None => ", without a key",
    };
    // A link for one browser, once. Where the output is kept, it would lie about until it is too old.
    if let Some(code) = doors
        .login_code
        .as_ref()
        .filter(|_| std::io::stderr().is_terminal())
    {
        output::note(&format!(
            "  {dim}page{reset}      {bold}{url}/#login={}{reset}",
            code.expose()
        ));
        output::note(&format!(
            "            {dim}works once, for ten minutes; later the page asks for the token{reset}"
        ));
    } else {
        row("page", &format!("{url}/ (it asks for the token)"));
    }
    row("forwards", &format!("/v1/* to {}{key}", config.api.base_url));
    row("off", &off(config).join(", "));
    output::note(&format!(
        "Any client of the Messages API works with\n  {bold}export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=\"$(cat {})\"{reset}",
        shell_word(&token)
    ));
    output::note("Ctrl-C stops it in order.");
    Ok(())
}

/// What clients are pointed at. An address that means all addresses is no address to connect to.
fn base_url(listening: SocketAddr, config: &ProductionConfig) -> String {
    let scheme = if config.security.enable_tls {
        "https"
    } else {
        "http"
    };
    let port = listening.port();
    match config.server.allowed_hosts.first() {
        Some(name) if config.security.enable_tls && has_port(name) => format!("{scheme}://{name}"),
        Some(name) if config.security.enable_tls => format!("{scheme}://{name}:{port}"),
        _ if listening.ip().is_unspecified() && listening.is_ipv6() => format!("{scheme}://[::1]:{port}"),
        _ if listening.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{port}"),
        _ => format!("{scheme}://{listening}"),
    }
}

fn has_port(name: &str) -> bool {
    name.rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// What a person may think is on.
fn off(config: &ProductionConfig) -> Vec<&'static str> {
    let security = &config.security;
    [
        (security.enable_tls, "TLS (security.enable_tls)"),
        (
            security.enable_request_signing,
            "signed requests (security.enable_request_signing)",
        ),
        (
            security.rate_limit_requests_per_minute > 0,
            "rate limit (security.rate_limit_requests_per_minute)",
        ),
        (
            config.performance.cache_messages,
            "cached answers (performance.cache_messages)",
        ),
        (
            config.shared.redis_url.is_some(),
            "sharing between daemons (shared.redis_url)",
        ),
        (
            config.server.enable_unix_socket,
            "Unix socket (server.enable_unix_socket)",
        ),
        (
            config.monitoring.enable_metrics,
            "metrics (monitoring.enable_metrics)",
        ),
    ]
    .into_iter()
    .filter_map(|(is_on, name)| (!is_on).then_some(name))
    .collect()
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_pointed_at_an_address_they_can_reach() {
        let mut config = ProductionConfig::default();
        let url = |config: &ProductionConfig, address: &str| base_url(address.parse().unwrap(), config);
        assert_eq!(url(&config, "127.0.0.1:8642"), "http://127.0.0.1:8642");
        assert_eq!(url(&config, "[::1]:1"), "http://[::1]:1");
        config.security.enable_tls = true;
        assert_eq!(url(&config, "0.0.0.0:443"), "https://127.0.0.1:443");
        assert_eq!(url(&config, "[::]:443"), "https://[::1]:443");
        config.server.allowed_hosts = vec!["agent.example".to_owned()];
        assert_eq!(url(&config, "0.0.0.0:443"), "https://agent.example:443");
        config.server.allowed_hosts = vec!["agent.example:8443".to_owned()];
        assert_eq!(url(&config, "0.0.0.0:443"), "https://agent.example:8443");
    }

    #[test]
    fn a_path_stays_one_word_in_a_shell() {
        assert_eq!(shell_word("/home/ada/token"), "/home/ada/token");
        assert_eq!(shell_word("/a b/it's"), r"'/a b/it'\''s'");
    }
}
