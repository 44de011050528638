//! The file that keeps a token from one start to the next.
//!
//! Whoever can read it can use the server, and whoever can replace it can lock the owner out or lay a trap: so it is opened
//! without following a link, and belongs to this user with nobody else's bits set, or is refused with what to type.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agent_config::Secret;
use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::{MAX_TOKEN_BYTES, NoRandomness, Token, TokenError};

/// Bits of a mode that let anyone but the owner in.
const FOREIGN_BITS: u32 = 0o077;

/// A token with where it came from.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The token.
    pub token: Token,
    /// Whether it was made just now. The program then tells its user where it is.
    pub created: bool,
}

/// Why a token could not be taken from its file. Each has its own remedy.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file system says no.
    #[error("cannot {doing} the token file {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A symbolic link, a folder, a pipe.
    #[error("the token file {} is not an ordinary file; remove it, and a new token is made", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others can read or change it.
    #[error(
        "others can use the token file {} (mode {mode:03o}); if nobody else has seen it, `chmod 600` it, otherwise remove it, and a new token is made",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("the token file {} belongs to the user with id {owner}; remove it, or name another one", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// What is in it is no token.
    #[error("the token file {} holds no token: {source}; remove it, and a new token is made", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TokenError,
    },
    /// No token could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The token in the file at `path`; where there is none, a new one, written there with mode 0600.
///
/// The folder must exist. Two programs that start at once get the same token: the file appears whole or not at all, and the
/// first one to put it there wins.
///
/// # Errors
/// The file can't be read or made, is no ordinary file, is open to others, or holds no token. A token that
/// others could have read is never used.
pub fn load_or_create(path: &Path) -> Result<Kept, TokenFileError> {
    match open(path) {
        Ok(file) => {
            return Ok(Kept {
                token: load(path, file)?,
                created: false,
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(not_opened(path, error)),
    }
    let token = Token::generate()?;
    if create(path, &token).map_err(|source| io_error("create", path, source))? {
        return Ok(Kept { token, created: true });
    }
    // Another program was faster.
    let file = open(path).map_err(|error| not_opened(path, error))?;
    Ok(Kept {
        token: load(path, file)?,
        created: false,
    })
}

fn open(path: &Path) -> io::Result<File> {
    // A pipe put in its place would otherwise hold up the start until someone writes.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn not_opened(path: &Path, error: io::Error) -> TokenFileError {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return TokenFileError::NotAFile {
            path: path.to_owned(),
        };
    }
    io_error("open", path, error)
}

fn load(path: &Path, file: File) -> Result<Token, TokenFileError> {
    let path = path.to_owned();
    // Of the open file, not of the name: what the name leads to may be swapped meanwhile.
    let about = file
        .metadata()
        .map_err(|source| io_error("examine", &path, source))?;
    if !about.is_file() {
        return Err(TokenFileError::NotAFile { path });
    }
    let owner = about.uid();
    // Root could read it anyway; units often run with files that root put there.
    if owner != geteuid().as_raw() && owner != 0 {
        return Err(TokenFileError::Foreign { path, owner });
    }
    let mode = about.mode() & 0o7777;
    if mode & FOREIGN_BITS != 0 {
        return Err(TokenFileError::Open { path, mode });
    }
    let mut text = String::new();
    // Two bytes over: a line end, and one to see that there is too much.
    let most = u64::try_from(MAX_TOKEN_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    match file.take(most).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(TokenFileError::Malformed {
                path,
                source: TokenError::Characters,
            });
        }
        Err(source) => return Err(io_error("read", &path, source)),
    }
    let text = Secret::from(text);
    let line = text.expose().trim_end_matches(['\r', '\n']);
    Token::parse(Secret::from(line)).map_err(|source| TokenFileError::Malformed { path, source })
}

/// False when there is a file already.
fn create(path: &Path, token: &Token) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Mode 0600 and O_EXCL from the start.
    let mut file = tempfile::Builder::new()
        .prefix(".new-token-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{}", token.secret().expose())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> TokenFileError {
    TokenFileError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn write(path: &Path, text: &[u8], mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_call_makes_the_file_and_the_next_ones_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = load_or_create(&path).unwrap();
        let again = load_or_create(&path).unwrap();
        assert!(first.created && !again.created);
        assert!(again.token.matches(first.token.secret().expose().as_bytes()));
        let about = fs::metadata(&path).unwrap();
        assert_eq!(about.mode() & 0o7777, 0o600);
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["token"], "nothing is left beside it");
    }

    #[test]
    fn many_that_start_at_once_get_one_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let tokens: Vec<Kept> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| load_or_create(&path).unwrap()))
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let text = tokens[0].token.secret().expose();
        assert!(tokens.iter().all(|kept| kept.token.matches(text.as_bytes())));
        assert_eq!(tokens.iter().filter(|kept| kept.created).count(), 1);
    }

    #[test]
    fn a_file_that_others_could_use_is_refused_with_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let good = b"0123456789abcdef0123456789abcdef\n";
        for mode in [0o644, 0o640, 0o620, 0o604, 0o666, 0o601] {
            write(&path, good, mode);
            let error = load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, TokenFileError::Open { mode: found, .. } if found == mode),
                "{mode:o}: {error}"
            );
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        for mode in [0o600, 0o400] {
            write(&path, good, mode);
            assert!(
                load_or_create(&path).unwrap().token.matches(good.trim_ascii()),
                "{mode:o}"
            );
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    #[test]
    fn planted_links_pipes_and_folders_are_refused_and_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let victim = folder.path().join("victim");
        for target in ["victim", "nothing-there"] {
            write(&victim, b"0123456789abcdef0123456789abcdef", 0o600);
            symlink(folder.path().join(target), &path).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, TokenFileError::NotAFile { .. }),
                "{target}: {error}"
            );
            assert!(!folder.path().join("nothing-there").exists());
            fs::remove_file(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, TokenFileError::NotAFile { .. }), "{error}");
        fs::remove_dir(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, TokenFileError::NotAFile { .. }), "{error}");
    }

    #[test]
    fn what_is_no_token_is_refused_rather_than_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let endless = vec![b'x'; MAX_TOKEN_BYTES * 4];
        let cases: [&[u8]; 5] = [
            b"",
            b"\n",
            b"short",
            b"\xFF\xFE not text at all, whatever it is",
            &endless,
        ];
        for bytes in cases {
            write(&path, bytes, 0o600);
            let error = load_or_create(&path).unwrap_err();
            assert!(matches!(error, TokenFileError::Malformed { .. }), "{error}");
            let mut kept = Vec::new();
            File::open(&path)
                .unwrap()
                .take(1 << 20)
                .read_to_end(&mut kept)
                .unwrap();
            assert_eq!(kept, bytes, "the file stays as it is");
        }
        write(
            &path,
            &[vec![b'x'; MAX_TOKEN_BYTES], b"\n".to_vec()].concat(),
            0o600,
        );
        assert!(
            load_or_create(&path).is_ok(),
            "the longest one fits, with its line end"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = load_or_create(&folder.path().join("no/token")).unwrap_err();
        assert!(
            matches!(error, TokenFileError::Io { doing: "create", .. }),
            "{error}"
        );
    }
}
