//! The file that keeps a token from one start to the next.
//!
//! Whoever can read it can use the server, and whoever can replace it can lock the owner out or lay a trap: so it is opened
//! without following a link, and belongs to this user with nobody else's bits set, or is refused with what to type.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{MAX_TOKEN_BYTES, NoRandomness, Token, TokenError};
use crate::private_file::{self, PrivateFileError, Readers};

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
    /// The file can't be read or made, or isn't this user's alone.
    #[error("no token from its file: {0}; when it is removed, a new token is made")]
    File(#[from] PrivateFileError),
    /// What is in it is no token.
    #[error("the token file {} holds no token: {source}; when it is removed, a new token is made", path.display())]
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
    if let Some(token) = load(path)? {
        return Ok(Kept {
            token,
            created: false,
        });
    }
    let token = Token::generate()?;
    match create(path, &token) {
        Ok(()) => Ok(Kept { token, created: true }),
        // Another program was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match load(path)? {
            Some(token) => Ok(Kept {
                token,
                created: false,
            }),
            None => Err(private_file::io_error("create", path, error).into()),
        },
        Err(error) => Err(private_file::io_error("create", path, error).into()),
    }
}

/// The token in the file at `path`; `None` when there is no file. For programs that only present it.
///
/// # Errors
/// As [`load_or_create`].
pub fn load(path: &Path) -> Result<Option<Token>, TokenFileError> {
    let Some(text) = private_file::read(path, MAX_TOKEN_BYTES, Readers::Owner)? else {
        return Ok(None);
    };
    Token::parse(text)
        .map(Some)
        .map_err(|source| TokenFileError::Malformed {
            path: path.to_owned(),
            source,
        })
}

fn create(path: &Path, token: &Token) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Mode 0600 and O_EXCL from the start.
    let mut file = tempfile::Builder::new()
        .prefix(".new-token-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{}", token.secret().expose())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)
        .map(drop)
        .map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

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
                matches!(error, TokenFileError::File(PrivateFileError::Open { mode: found, .. }) if found == mode),
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
                matches!(error, TokenFileError::File(PrivateFileError::NotAFile { .. })),
                "{target}: {error}"
            );
            assert!(!folder.path().join("nothing-there").exists());
            fs::remove_file(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(
            matches!(error, TokenFileError::File(PrivateFileError::NotAFile { .. })),
            "{error}"
        );
        fs::remove_dir(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(
            matches!(error, TokenFileError::File(PrivateFileError::NotAFile { .. })),
            "{error}"
        );
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
            assert!(error.to_string().contains("a new token is made"), "{error}");
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
            matches!(
                error,
                TokenFileError::File(PrivateFileError::Io { doing: "create", .. })
            ),
            "{error}"
        );
    }
}
