//! The marker that a running daemon leaves, and that only an end in order takes away.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files;

const FILE: &str = "running.json";

/// Another value at each start of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// It is a UUID and a line break.
const MAX_BOOT_BYTES: u64 = 64;

/// A process that runs, or did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) pid: u32,
    pub(super) version: String,
    /// Which start of the machine it belongs to; none where the system does not tell.
    pub(super) boot: Option<String>,
    pub(super) started_at: DateTime<Utc>,
    /// The last sign of life.
    pub(super) seen_at: DateTime<Utc>,
    /// Its memory then; 0 before it was known.
    pub(super) resident_bytes: u64,
}

/// What is known of a marker that was found.
#[derive(Debug)]
pub(super) enum Left {
    /// All of it.
    Marker(Marker),
    /// It was there, and nothing can be read from it.
    Unreadable,
}

impl Marker {
    pub(super) fn new(version: &str, now: DateTime<Utc>) -> Self {
        Marker {
            pid: std::process::id(),
            version: version.to_owned(),
            boot: boot(),
            started_at: now,
            seen_at: now,
            resident_bytes: 0,
        }
    }

    pub(super) fn find(folder: &Path) -> Option<Left> {
        match files::read(&folder.join(FILE)) {
            Ok(marker) => marker.map(Left::Marker),
            Err(error) => {
                tracing::warn!(%error, "the marker of the daemon before can't be read");
                Some(Left::Unreadable)
            }
        }
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        files::write(&folder.join(FILE), self)
    }

    pub(super) fn remove(folder: &Path) {
        files::remove(&folder.join(FILE));
    }
}

/// Which start of the machine this is.
pub(super) fn boot() -> Option<String> {
    let mut text = String::new();
    let read = File::open(BOOT).and_then(|file| file.take(MAX_BOOT_BYTES).read_to_string(&mut text));
    read.ok().map(|_| text.trim().to_owned())
}
