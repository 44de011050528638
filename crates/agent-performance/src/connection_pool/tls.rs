//! TLS settings, made at the first https connection: reading the system's certificates costs tens of
//! milliseconds that a plain-http origin must not pay.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// Largest CA bundle read. Mozilla's whole list is about 200 kB.
const MAX_CA_BUNDLE_BYTES: u64 = 4 << 20;

pub(super) struct Tls {
    ca_bundle: Option<PathBuf>,
    http2: bool,
    connectors: OnceCell<Connectors>,
}

#[derive(Clone)]
pub(super) struct Connectors {
    /// To origins: offers HTTP/2 where that is wanted.
    pub(super) origin: TlsConnector,
    /// To proxies, which are spoken to in HTTP/1.1.
    pub(super) proxy: TlsConnector,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TlsSetupError {
    #[error("CA bundle {}: {cause}", path.display())]
    Bundle { path: PathBuf, cause: io::Error },
    #[error("no trusted root certificates were found on this system; name some in ca_bundle")]
    NoRoots,
    #[error("TLS library: {0}")]
    Library(#[from] rustls::Error),
    #[error("loading certificates was interrupted")]
    Interrupted,
}

impl Tls {
    pub(super) fn new(ca_bundle: Option<PathBuf>, http2: bool) -> Self {
        Tls {
            ca_bundle,
            http2,
            connectors: OnceCell::new(),
        }
    }

    /// A failure is not remembered: the next connection tries again, and finds a corrected bundle.
    pub(super) async fn connectors(&self) -> Result<Connectors, TlsSetupError> {
        let build = || async {
            let bundle = self.ca_bundle.clone();
            let config = tokio::task::spawn_blocking(move || client_config(bundle.as_deref()))
                .await
                .map_err(|_| TlsSetupError::Interrupted)??;
            let mut to_origin = config.clone();
            if self.http2 {
                to_origin.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            }
            Ok(Connectors {
                origin: TlsConnector::from(Arc::new(to_origin)),
                proxy: TlsConnector::from(Arc::new(config)),
            })
        };
        self.connectors.get_or_try_init(build).await.cloned()
    }

    #[cfg(test)]
    pub(super) fn is_loaded(&self) -> bool {
        self.connectors.initialized()
    }
}

fn client_config(ca_bundle: Option<&Path>) -> Result<ClientConfig, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's certificates cannot be read");
    }
    // Systems carry certificates that rustls rejects; the others still count.
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_bundle {
        let certificates = read_bundle(path).map_err(|cause| TlsSetupError::Bundle {
            path: path.to_owned(),
            cause,
        })?;
        for certificate in certificates {
            roots.add(certificate)?;
        }
    }
    if roots.is_empty() {
        return Err(TlsSetupError::NoRoots);
    }
    // Named here, not taken from the process: a missing or doubled default would panic.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn read_bundle(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut pem = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_CA_BUNDLE_BYTES + 1)
        .read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_CA_BUNDLE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {MAX_CA_BUNDLE_BYTES} bytes"),
        ));
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates =
        certificates.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    if certificates.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds no PEM certificate",
        ));
    }
    Ok(certificates)
}
