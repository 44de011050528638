//! Asks the daemon that serves a data folder, over its Unix socket.

use std::time::Duration;

use agent_config::ProductionConfig;
use agent_security::token;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::Failure;
use super::exit::Exit;
use crate::app;

/// How long the daemon may take. It answers from memory; one that needs longer hangs.
const DEADLINE: Duration = Duration::from_secs(10);

/// The largest answer that is read. Reports have some kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// An answer in JSON, of whatever status.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) document: Value,
}

impl Told {
    /// The answer as an error, in the daemon's own words.
    pub(super) fn refusal(&self) -> Failure {
        let detail = self.document["detail"].as_str();
        let detail = detail.map_or_else(|| self.document.to_string(), str::to_owned);
        Failure::new(
            Exit::Failed,
            format!("the daemon answers {}: {detail}", self.status),
        )
    }
}

/// Asks for `path` with the daemon's own token.
///
/// # Errors
/// No daemon serves the data folder, it has no Unix socket, or it does not answer in time.
pub(super) async fn get(config: &ProductionConfig, path: &str) -> Result<Told, Failure> {
    let Some(socket) = app::unix_socket(config) else {
        return Err(Failure::new(
            Exit::Misconfigured,
            "the daemon has no Unix socket to be asked over: server.enable_unix_socket is off",
        )
        .advise(format!(
            "switch it on, or ask the daemon for {path} with its token"
        )));
    };
    let stream = UnixStream::connect(&socket).await.map_err(|error| {
        let data = config.deployment.data_directory.display();
        Failure::new(
            Exit::Failed,
            format!(
                "no daemon answers for the data folder {data}: {}: {error}",
                socket.display()
            ),
        )
        .advise("start it with `claude-agent serve`, or name the data folder it uses with --data-dir")
    })?;
    let kept = token::load_or_create(&app::token_file(config)).map_err(|error| {
        Failure::new(Exit::Failed, error.to_string()).advise("run this as the user who runs the daemon")
    })?;
    let unanswered = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failed,
            format!(
                "the daemon at {} gave no answer to {path}: {error}",
                socket.display()
            ),
        )
        .advise("look at its log; `claude-agent serve` writes it to standard error")
    };
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", kept.token.secret().expose()),
        )
        .body(Empty::<Bytes>::new())
        .map_err(Failure::internal)?;
    match tokio::time::timeout(DEADLINE, exchange(stream, request)).await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(error)) => Err(unanswered(&error)),
        Err(_) => Err(unanswered(&format!("nothing for {DEADLINE:?}"))),
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(stream: UnixStream, request: Request<Empty<Bytes>>) -> Result<Told, Fault> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let ask = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await?
            .to_bytes();
        let document = serde_json::from_slice(&body)?;
        Ok(Told { status, document })
    };
    // What ends the connection early is the answer's error as well.
    let drive = async {
        drop(connection.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        told = ask => told,
        () = drive => Err("the connection ended".into()),
    }
}
