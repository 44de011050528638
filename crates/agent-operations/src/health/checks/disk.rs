//! Room on the file system of the data folder.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::health::{CheckResult, HealthCheck};

const MIB: u64 = 1024 * 1024;

/// With less than this a store can't even clean up after itself.
const FAIL_BELOW: u64 = 64 * MIB;

/// With less than this somebody should make room: a busy day of logs and sessions.
const WARN_BELOW: u64 = 1024 * MIB;

/// Small file systems are not always in trouble: they warn below this share of their size, in percent.
const WARN_BELOW_PERCENT: u64 = 10;

/// Warns when room gets short, and fails when there is none to work with.
#[derive(Debug)]
pub struct DiskSpaceCheck {
    folder: PathBuf,
}

impl DiskSpaceCheck {
    /// Looks at the file system that `folder` is on.
    pub fn new(folder: &Path) -> Self {
        DiskSpaceCheck {
            folder: folder.to_owned(),
        }
    }

    fn judge(&self, free: u64, total: u64) -> CheckResult {
        let folder = self.folder.display();
        let megabytes = free / MIB;
        let warn_below = WARN_BELOW.min(total / 100 * WARN_BELOW_PERCENT);
        let result = if free < FAIL_BELOW.min(warn_below) {
            CheckResult::fail(format!(
                "only {megabytes} MB are free where {folder} is; make room"
            ))
        } else if free < warn_below {
            CheckResult::warn(format!(
                "only {megabytes} MB are free where {folder} is; make room soon"
            ))
        } else {
            CheckResult::pass(format!("{megabytes} MB are free where {folder} is"))
        };
        result.observing("free", megabytes as f64, "MB")
    }
}

#[async_trait]
impl HealthCheck for DiskSpaceCheck {
    async fn check(&self) -> CheckResult {
        let folder = self.folder.clone();
        // A network file system may take its time.
        let read = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
        match read {
            Ok(Ok(room)) => self.judge(room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize),
            Ok(Err(error)) => {
                CheckResult::fail(format!("{} can't be looked at: {error}", self.folder.display()))
            }
            Err(error) => CheckResult::fail(format!("reading the file system failed: {error}")),
        }
    }

    fn name(&self) -> &str {
        "disk"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::CheckStatus;

    #[test]
    fn large_and_tiny_file_systems_are_judged_by_their_own_measure() {
        let check = DiskSpaceCheck::new(Path::new("/data"));
        let cases = [
            (100_000 * MIB, 500_000 * MIB, CheckStatus::Pass),
            (900 * MIB, 500_000 * MIB, CheckStatus::Warn),
            (63 * MIB, 500_000 * MIB, CheckStatus::Fail),
            // A tiny one that is almost empty is well.
            (50 * MIB, 60 * MIB, CheckStatus::Pass),
            (MIB, 60 * MIB, CheckStatus::Fail),
            (0, 0, CheckStatus::Pass),
        ];
        for (free, total, expected) in cases {
            assert_eq!(check.judge(free, total).status, expected, "{free} of {total}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_fails() {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(DiskSpaceCheck::new(folder.path()).check().await.message, "");
        let gone = folder.path().join("gone");
        assert_eq!(DiskSpaceCheck::new(&gone).check().await.status, CheckStatus::Fail);
    }
}
