//! The file with the API keys that were added by hand: read and changed by commands while a daemon uses it.
//!
//! It is opened without following links, has to be this user's alone, and appears whole or not at all. Changes are made one
//! after the other, under a lock on a file beside it, because the file itself is replaced by each of them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent_config::{ApiKey, KeyState, MAX_KEY_BYTES, Secret, parse_api_key};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError, Readers, io_error, open_own};

/// Keys in the file, at most: people rotate between two or three.
pub const MAX_KEYS: usize = 32;

/// Hosts that one key may be bound to.
pub const MAX_HOSTS: usize = 16;

/// The longest name of a key.
pub const MAX_ID_BYTES: usize = 64;

/// The longest name of a host, as DNS has it, with a port.
const MAX_HOST_BYTES: usize = 253 + 6;

/// The longest the file can get: each key with its hosts, and the names of the fields twice over.
const MAX_FILE: usize = MAX_KEYS * (MAX_KEY_BYTES + MAX_HOSTS * (MAX_HOST_BYTES + 8) + MAX_ID_BYTES + 512);

/// A change takes milliseconds; who has the lock for longer hangs.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How often the lock is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The version of the format.
const VERSION: u32 = 1;

/// Why the keys can't be read or changed. Each has its own remedy.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be read or written, or isn't this user's alone.
    #[error("{0}")]
    File(#[from] PrivateFileError),
    /// What is in it isn't what was written there.
    #[error("{} is not a file of keys: {why}; remove it and add the keys again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, without anything from the file.
        why: String,
    },
    /// Another process is changing it, and does not come to an end.
    #[error("another process has been changing {} for {} s; end it, then try again", path.display(), LOCK_PATIENCE.as_secs())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// More than the file holds.
    #[error("there are {MAX_KEYS} keys already; remove one first")]
    Full,
}

/// Where the keys are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

/// Tells whether the file was changed: each change makes a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    device: u64,
    number: u64,
    modified: (i64, i64),
    length: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    #[serde(serialize_with = "exposed")]
    key: Secret,
    hosts: Vec<String>,
    added_at: u64,
    state: KeyState,
}

/// The one place where keys are written as they are.
fn exposed<S: Serializer>(key: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose())
}

impl KeyFile {
    /// The file at `path`, which may not exist yet; its folder must.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys, in the order in which they were added; none where there is no file.
    ///
    /// # Errors
    /// The file can't be read, is open to others, or holds something else.
    pub fn load(&self) -> Result<Vec<ApiKey>, KeyFileError> {
        let Some(text) = private_file::read(&self.path, MAX_FILE, Readers::Owner)? else {
            return Ok(Vec::new());
        };
        let malformed = |why: String| KeyFileError::Malformed {
            path: self.path.clone(),
            why,
        };
        // Not the parser's own words: they may quote a key.
        let stored: Stored = serde_json::from_str(text.expose()).map_err(|error| {
            malformed(format!(
                "line {}, column {} is wrong",
                error.line(),
                error.column()
            ))
        })?;
        if stored.version != VERSION {
            return Err(malformed(format!(
                "it has version {}, and this program knows {VERSION}",
                stored.version
            )));
        }
        if stored.keys.len() > MAX_KEYS {
            return Err(malformed(format!("it holds more than {MAX_KEYS} keys")));
        }
        let keys = stored.keys.into_iter().map(StoredKey::checked);
        keys.collect::<Result<_, _>>()
            .map_err(|why| malformed(why.to_owned()))
    }

    /// Changes the keys, while nobody else does, and gives what `change` gives. The file is written only if `change` succeeds
    /// and something is different. Waits for others at most five seconds, and blocks.
    ///
    /// # Errors
    /// The file can't be read or written, or `change` refuses.
    pub fn change<T, E: From<KeyFileError>>(
        &self,
        change: impl FnOnce(&mut Vec<ApiKey>) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = self.lock()?;
        let before = self.load()?;
        let mut keys = before.clone();
        let result = change(&mut keys)?;
        if keys.len() > MAX_KEYS {
            return Err(KeyFileError::Full.into());
        }
        if keys != before {
            self.write(&keys)
                .map_err(|error| KeyFileError::from(io_error("write", &self.path, error)))?;
        }
        Ok(result)
    }

    /// Differs after each change; none where there is no file.
    pub fn version(&self) -> Option<Version> {
        let about = self.path.symlink_metadata().ok()?;
        Some(Version {
            device: about.dev(),
            number: about.ino(),
            modified: (about.mtime(), about.mtime_nsec()),
            length: about.len(),
        })
    }

    fn lock(&self) -> Result<File, KeyFileError> {
        let path = self.path.with_extension("lock");
        let options = &mut OpenOptions::new();
        let file = open_own(&path, options.read(true).write(true).create(true).truncate(false))
            .map_err(|error| io_error("open", &path, error))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(KeyFileError::Busy {
                        path: self.path.clone(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(io_error("lock", &path, error).into()),
            }
        }
    }

    fn write(&self, keys: &[ApiKey]) -> io::Result<()> {
        let stored = Stored {
            version: VERSION,
            keys: keys.iter().map(StoredKey::of).collect(),
        };
        // Room for all of it at once: a buffer that grows leaves copies behind that nothing overwrites.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE));
        serde_json::to_writer_pretty(&mut *text, &stored)?;
        text.push(b'\n');
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // Mode 0600 and O_EXCL from the start.
        let mut file = tempfile::Builder::new()
            .prefix(".new-keys-")
            .tempfile_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}

impl StoredKey {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            key: key.secret.clone(),
            hosts: key.hosts.clone(),
            added_at: key.added_at.unwrap_or_default(),
            state: key.state,
        }
    }

    fn checked(self) -> Result<ApiKey, &'static str> {
        if !is_id(&self.id) {
            return Err("a key's name is wrong");
        }
        if self.hosts.len() > MAX_HOSTS || self.hosts.iter().any(|host| host.len() > MAX_HOST_BYTES) {
            return Err("a key is bound to too many hosts");
        }
        let secret: Secret = parse_api_key(self.key.expose()).map_err(|_| "a key can't be one")?;
        Ok(ApiKey {
            id: self.id,
            secret,
            hosts: self.hosts,
            added_at: Some(self.added_at),
            state: self.state,
        })
    }
}

/// Whether the text can name a key: letters, digits, `-`, `_` and `.`.
pub fn is_id(text: &str) -> bool {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(belongs)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn key(id: &str) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            secret: Secret::from(format!("sk-ant-canary-{id}")),
            hosts: vec!["api.anthropic.com".to_owned()],
            added_at: Some(1_000),
            state: KeyState::Standby,
        }
    }

    fn add(file: &KeyFile, id: &str) -> Result<(), KeyFileError> {
        file.change(|keys| {
            keys.push(key(id));
            Ok(())
        })
    }

    #[test]
    fn keys_come_back_as_they_were_and_the_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("keys.json"));
        assert_eq!((file.load().unwrap(), file.version()), (Vec::new(), None));
        add(&file, "one").unwrap();
        let first = file.version();
        add(&file, "two").unwrap();
        assert_ne!(first, file.version());
        assert_eq!(file.load().unwrap(), [key("one"), key("two")]);
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o7777, 0o600);
        let unchanged = file.version();
        file.change(|_| Ok::<_, KeyFileError>(())).unwrap();
        assert_eq!(unchanged, file.version(), "nothing to write is not written");
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("keys.json"));
        std::thread::scope(|scope| {
            for number in 0..16 {
                let file = &file;
                scope.spawn(move || add(file, &format!("key-{number}")).unwrap());
            }
        });
        assert_eq!(file.load().unwrap().len(), 16);
    }

    #[test]
    fn more_keys_than_fit_are_refused_and_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("keys.json"));
        for number in 0..MAX_KEYS {
            add(&file, &number.to_string()).unwrap();
        }
        assert!(matches!(add(&file, "one-more"), Err(KeyFileError::Full)));
        assert_eq!(file.load().unwrap().len(), MAX_KEYS);
    }

    #[test]
    fn a_file_that_others_could_use_or_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("keys.json"));
        add(&file, "one").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let told = file.load().unwrap_err().to_string();
        assert!(told.contains("chmod 600"), "{told}");
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(file.path(), &elsewhere).unwrap();
        symlink(&elsewhere, file.path()).unwrap();
        assert!(file.load().is_err() && add(&file, "two").is_err());
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused_without_being_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("keys.json"));
        let cases = [
            "",
            "sk-ant-canary",
            r#"{"version":2,"keys":[]}"#,
            r#"{"version":1,"keys":[{"id":"a b","key":"sk-ant-canary","hosts":[],"added_at":0,"state":"active"}]}"#,
            r#"{"version":1,"keys":[{"id":"a","key":"sk-ant canary","hosts":[],"added_at":0,"state":"active"}]}"#,
            r#"{"version":1,"keys":[{"id":"a","key":"sk-ant-canary","hosts":[],"added_at":0,"state":"sk-ant-canary"}]}"#,
        ];
        for text in cases {
            fs::write(file.path(), text).unwrap();
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
            let told = file.load().unwrap_err();
            assert!(!format!("{told} {told:?}").contains("canary"), "{told:?}");
        }
    }
}
