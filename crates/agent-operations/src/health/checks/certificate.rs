//! How long the server's certificate is still valid.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::health::{CheckResult, HealthCheck};

/// Time to see to it during working days.
const WARN_DAYS: i64 = 14;

/// A chain of certificates is a few kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Warns two weeks before the first certificate of a file ends, and fails when it is not valid.
#[derive(Debug)]
pub struct CertificateCheck {
    file: PathBuf,
}

impl CertificateCheck {
    /// Looks at the first certificate of a PEM file, the server's own; the file is read at each look.
    pub fn new(file: &Path) -> Self {
        CertificateCheck {
            file: file.to_owned(),
        }
    }

    fn look(&self, now: DateTime<Utc>) -> CheckResult {
        let file = self.file.display();
        let (from, until) = match validity(&self.file) {
            Ok(validity) => validity,
            Err(why) => return CheckResult::fail(format!("the certificate {file} can't be read: {why}")),
        };
        let days = (until - now).num_days();
        let result = if now < from {
            CheckResult::fail(format!(
                "the certificate {file} is not valid before {from}; is the clock right?"
            ))
        } else if now >= until {
            CheckResult::fail(format!(
                "the certificate {file} ended on {until}; replace it, no restart is needed"
            ))
        } else if days < WARN_DAYS {
            CheckResult::warn(format!(
                "the certificate {file} ends in {days} days, on {until}; replace it"
            ))
        } else {
            CheckResult::pass(format!("the certificate {file} is valid until {until}"))
        };
        result.observing("validity", days as f64, "d")
    }
}

fn validity(file: &Path) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut pem))
        .map_err(|error| error.to_string())?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).map_err(|error| error.to_string())?;
    let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
    let time = |at: x509_parser::time::ASN1Time| {
        DateTime::from_timestamp(at.timestamp(), 0).ok_or_else(|| format!("{at} is no date"))
    };
    let validity = certificate.validity();
    Ok((time(validity.not_before)?, time(validity.not_after)?))
}

#[async_trait]
impl HealthCheck for CertificateCheck {
    async fn check(&self) -> CheckResult {
        let check = CertificateCheck::new(&self.file);
        tokio::task::spawn_blocking(move || check.look(Utc::now()))
            .await
            .unwrap_or_else(|error| CheckResult::fail(format!("reading the certificate failed: {error}")))
    }

    fn name(&self) -> &str {
        "certificate"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::CheckStatus;

    #[test]
    fn the_end_is_seen_coming() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cert.pem");
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2026, 4, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&file, parameters.self_signed(&key).unwrap().pem()).unwrap();
        let check = CertificateCheck::new(&file);
        let cases = [
            ("2025-12-31T00:00:00Z", CheckStatus::Fail),
            ("2026-02-01T00:00:00Z", CheckStatus::Pass),
            ("2026-03-25T00:00:00Z", CheckStatus::Warn),
            ("2026-04-01T00:00:00Z", CheckStatus::Fail),
        ];
        for (now, expected) in cases {
            assert_eq!(check.look(now.parse().unwrap()).status, expected, "{now}");
        }
        for garbage in ["", "no certificate"] {
            std::fs::write(&file, garbage).unwrap();
            assert_eq!(check.look(Utc::now()).status, CheckStatus::Fail);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(check.look(Utc::now()).status, CheckStatus::Fail);
    }
}
