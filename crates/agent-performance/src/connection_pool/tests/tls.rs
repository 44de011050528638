use std::io::Write as _;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Behaviour, failure, get, pool, serve, text};
use crate::connection_pool::{ConnectFailure, ConnectionPoolConfig, HttpConnectionPool};
use crate::lifecycle::Lifecycle;

/// A server's certificate for `localhost`, and the bundle that a client needs to trust it.
pub(super) struct Localhost {
    pub(super) acceptor: TlsAcceptor,
    pub(super) bundle: tempfile::NamedTempFile,
}

pub(super) fn localhost(protocols: &[&[u8]]) -> Localhost {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut bundle = tempfile::NamedTempFile::new().unwrap();
    bundle.write_all(made.cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Localhost {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        bundle,
    }
}

/// A TLS server that speaks HTTP/1.1; its port.
pub(super) async fn tls_server(lifecycle: &Lifecycle, acceptor: TlsAcceptor, behaviour: Behaviour) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(lifecycle.spawn("tls server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, behaviour).await;
            }
        }
    }));
    port
}

#[tokio::test]
async fn tls_trusts_the_given_authority_and_nobody_else() {
    let lifecycle = Lifecycle::new();
    let Localhost { acceptor, bundle } = localhost(&[]);
    let port = tls_server(&lifecycle, acceptor, Behaviour::AnswerOnceThenClose).await;
    let url = format!("https://localhost:{port}/");

    let error = get(&pool(1), &url).await.unwrap_err();
    assert!(error.to_string().contains("ca_bundle"), "{error}");
    assert_eq!(failure(error), ConnectFailure::Tls);

    let with_bundle = |path: &std::path::Path| {
        let ca_bundle = Some(path.to_owned());
        HttpConnectionPool::new(ConnectionPoolConfig {
            ca_bundle,
            ..Default::default()
        })
    };
    assert_eq!(
        text(get(&with_bundle(bundle.path()), &url).await.unwrap()).await,
        "ok"
    );

    let missing = with_bundle("/nowhere/ca.pem".as_ref());
    let error = get(&missing, &url).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}
