//! HTTPS, and certificates that change while it runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Daemon, question};
use crate::support::{Machine, Simulator, wait_until};

/// A certificate for this machine, and its key, as files in PEM.
pub(super) fn certificate(machine: &Machine, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (
        machine.home().join(format!("{name}.pem")),
        machine.home().join(format!("{name}.key")),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    (certificate, key)
}

/// The certificate in a file of [`certificate`].
fn in_file(path: &Path) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_file(path).unwrap()
}

/// A connection that trusts these certificates. None when the server shows another.
fn connect(daemon: &Daemon, trusted: &[&CertificateDer<'static>]) -> Option<impl Read + Write + use<>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket: TcpStream = daemon.connect();
    while session.is_handshaking() {
        session.complete_io(&mut socket).ok()?;
    }
    Some(StreamOwned::new(session, socket))
}

fn encrypted(machine: &Machine, simulator: &Simulator, files: &(PathBuf, PathBuf)) -> Daemon {
    Daemon::start_with(
        machine,
        simulator,
        &[
            ("SECURITY__ENABLE_TLS", "true"),
            ("SECURITY__TLS_CERT_PATH", files.0.to_str().unwrap()),
            ("SECURITY__TLS_KEY_PATH", files.1.to_str().unwrap()),
            ("SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
        ],
    )
}

#[test]
fn requests_are_served_encrypted_and_only_encrypted() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let files = certificate(&machine, "served");
    let daemon = encrypted(&machine, &simulator, &files);
    assert!(daemon.url.starts_with("https://"), "{}", daemon.url);
    let stream = connect(&daemon, &[&in_file(&files.0)]).expect("the certificate is trusted");
    let answer = daemon
        .request("POST", "/v1/messages")
        .json(&question("Hello"))
        .send(stream)
        .expect(200);
    assert_eq!(answer.json()["type"], "message");
    let mut plain = daemon.connect();
    plain
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut said = Vec::new();
    plain.read_to_end(&mut said).ok();
    assert!(
        !said.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&said)
    );
    // Nobody else can open the socket, so nothing is encrypted there.
    daemon
        .request("GET", "/livez")
        .send(daemon.connect_unix())
        .expect(200);
}

#[test]
fn a_certificate_is_swapped_under_traffic_without_a_failed_request() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let files = certificate(&machine, "served");
    let old = in_file(&files.0);
    let daemon = encrypted(&machine, &simulator, &files);
    let (fresh_certificate, fresh_key) = certificate(&machine, "fresh");
    let new = in_file(&fresh_certificate);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let client = || {
            while !stop.load(Ordering::Relaxed) {
                let stream = connect(&daemon, &[&old, &new]).expect("one of the two is shown");
                daemon
                    .request("POST", "/v1/messages")
                    .json(&question("Hello"))
                    .send(stream)
                    .expect(200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        };
        for _ in 0..2 {
            scope.spawn(client);
        }
        wait_until("traffic", || served.load(Ordering::Relaxed) >= 5);
        std::fs::rename(&fresh_key, &files.1).unwrap();
        std::fs::rename(&fresh_certificate, &files.0).unwrap();
        wait_until("the new certificate is shown", || {
            connect(&daemon, &[&new]).is_some()
        });
        assert!(connect(&daemon, &[&old]).is_none(), "the old one is not");
        let before = served.load(Ordering::Relaxed);
        wait_until("traffic goes on", || served.load(Ordering::Relaxed) >= before + 5);
        // What can't be used changes nothing.
        std::fs::write(&files.0, "not a certificate").unwrap();
        let before = served.load(Ordering::Relaxed);
        wait_until("traffic goes on", || {
            served.load(Ordering::Relaxed) >= before + 20
        });
        stop.store(true, Ordering::Relaxed);
    });
    assert!(connect(&daemon, &[&new]).is_some());
}
