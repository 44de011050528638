//! A certificate that is replaced while the gateway serves.

use std::sync::Arc;
use std::time::Instant;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::parts::TlsFiles;
use crate::testing::{Running, TOO_LONG};

/// Writes a new pair and gives its certificate.
fn renew(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    // One after the other, as tools for certificates do it.
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// A handshake by a client that trusts only `certificate`.
async fn connect(gateway: &Running, certificate: &CertificateDer<'static>) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(gateway.addresses.tcp).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.ok()
}

async fn is_served(stream: &mut TlsStream<TcpStream>) -> bool {
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    answer[..read].starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    let first = renew(&files);
    let given = files.clone();
    let gateway = Running::with(|parts| parts.settings.tls = Some(given)).await;
    let mut old = connect(&gateway, &first).await.unwrap();
    assert!(is_served(&mut old).await);
    let second = renew(&files);
    let began = Instant::now();
    let mut new = loop {
        if let Some(stream) = connect(&gateway, &second).await {
            break stream;
        }
        assert!(
            began.elapsed() < TOO_LONG,
            "the old certificate is shown for ever"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(is_served(&mut new).await);
    assert!(is_served(&mut old).await, "who is connected stays so");
    assert!(
        connect(&gateway, &first).await.is_none(),
        "the old one is not shown any more"
    );
    drop((old, new));
    gateway.stop().await;
}
