//! TLS with a certificate that is read again when its files change.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::parts::TlsFiles;

/// How often the files are looked at. Certificates are renewed days before they end.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// A chain of certificates is some kilobytes; a larger file is something else.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A certificate, its key, and where they come from.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Why certificate or key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path} can't be read: {source}; check security.tls_cert_path and security.tls_key_path")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}; it must be in PEM")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// They are not a pair.
    #[error(
        "the key {key} does not belong to the certificate {certificate}; give the two that were made together"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate is not valid now.
    #[error("the certificate {path} {what}; renew it, or check this machine's clock")]
    Validity {
        /// The certificate's file.
        path: PathBuf,
        /// Since or until when.
        what: String,
    },
}

impl Tls {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&files)?)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Content {
                path: files.certificate.clone(),
                what: error.to_string(),
            })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls {
            files,
            current,
            config: Arc::new(config),
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Reads the files again whenever they change; connections made from then on see the new certificate. What can't be used is
    /// told once, and the old certificate stays.
    pub(super) async fn keep_current(&self) {
        let mut seen = identities(&self.files);
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = identities(&self.files);
            if now != seen {
                seen = now;
                self.reload();
            }
        }
    }

    fn reload(&self) {
        match read(&self.files) {
            Ok(fresh) => {
                self.current.0.store(Arc::new(fresh));
                tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate can't be used; the old one stays in use")
            }
        }
    }
}

/// What tells a replaced file from the one that was read. None when it is not there, as in the middle of a replacement.
type Identity = Option<(u64, u64, i64, i64, u64)>;

fn identities(files: &TlsFiles) -> (Identity, Identity) {
    (identity(&files.certificate), identity(&files.key))
}

fn identity(path: &Path) -> Identity {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.mtime(),
        found.mtime_nsec(),
        found.len(),
    ))
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path, what: String| TlsError::Content {
        path: path.to_owned(),
        what,
    };
    let pem = bounded(&files.certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&files.certificate, format!("it is not well formed ({error})")))?;
    let Some(own) = chain.first() else {
        return Err(wrong(&files.certificate, "it holds no certificate".to_owned()));
    };
    check_validity(&files.certificate, own)?;
    let pem = zeroize::Zeroizing::new(bounded(&files.key)?);
    // The reason is left out: it could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| wrong(&files.key, "it holds no private key".to_owned()))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| {
        wrong(
            &files.key,
            "it holds a key of a kind that is not supported".to_owned(),
        )
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(_) => Err(TlsError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        }),
    }
}

fn bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(failed(std::io::Error::other("it is larger than a megabyte")));
    }
    Ok(bytes)
}

fn check_validity(path: &Path, certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| TlsError::Content {
            path: path.to_owned(),
            what: format!("its first certificate is not well formed ({error})"),
        })?;
    let validity = parsed.validity();
    let now = x509_parser::time::ASN1Time::now();
    let what = if now > validity.not_after {
        format!("ended on {}", validity.not_after)
    } else if now < validity.not_before {
        format!("begins on {}", validity.not_before)
    } else {
        return Ok(());
    };
    Err(TlsError::Validity {
        path: path.to_owned(),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn files(&self) -> TlsFiles {
            TlsFiles {
                certificate: self.0.path().join("cert.pem"),
                key: self.0.path().join("key.pem"),
            }
        }

        fn put(&self, certificate: &str, key: &str) -> TlsFiles {
            let files = self.files();
            std::fs::write(&files.certificate, certificate).unwrap();
            std::fs::write(&files.key, key).unwrap();
            files
        }
    }

    fn pair(until: i32) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_its_reason() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let ((certificate, key), (other, _)) = (pair(4000), pair(4000));
        let (ended, ended_key) = pair(2021);
        let check = |certificate: &str, key: &str, reason: &str| {
            let error = read(&folder.put(certificate, key)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("BEGIN") && !error.contains("MIG"), "{error}");
        };
        check(&certificate, &certificate, "holds no private key");
        check("", &key, "holds no certificate");
        check(
            "-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----\n",
            &key,
            "not well formed",
        );
        check(&other, &key, "does not belong to the certificate");
        check(&ended, &ended_key, "ended on");
        check(
            &"x".repeat(MAX_FILE_BYTES as usize + 1),
            &key,
            "larger than a megabyte",
        );
        std::fs::remove_file(folder.files().key).unwrap();
        std::fs::write(folder.files().certificate, &certificate).unwrap();
        assert!(
            read(&folder.files())
                .unwrap_err()
                .to_string()
                .contains("tls_key_path")
        );
        assert!(read(&folder.put(&certificate, &key)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_pair_is_taken_and_a_broken_one_is_not() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let (first, second) = (pair(4000), pair(4001));
        let tls = Arc::new(Tls::load(folder.put(&first.0, &first.1)).unwrap());
        let shown = || tls.current.0.load().cert[0].to_vec();
        let original = shown();
        let mut watching = tokio::task::JoinSet::new();
        let kept = Arc::clone(&tls);
        watching.spawn(async move { kept.keep_current().await });
        let look = || tokio::time::sleep(LOOK_INTERVAL + Duration::from_millis(1));

        look().await;
        folder.put(&second.0, &first.1);
        look().await;
        assert_eq!(shown(), original, "half of a replacement is not used");
        folder.put(&second.0, &second.1);
        look().await;
        let renewed = shown();
        assert_ne!(renewed, original);
        std::fs::remove_file(folder.files().certificate).unwrap();
        look().await;
        assert_eq!(shown(), renewed);
    }
}
