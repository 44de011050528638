//! The Unix socket: open to its owner only, never made in a place where somebody answers.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::BindError;

/// Tries at a name for the folder that the socket is made in; each is taken only by chance or by a crash.
const MAX_NAMES: u32 = 16;

/// A listening socket. Dropping it removes its file, unless somebody else's stands there by now.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl UnixSocket {
    /// Listens on `path`. A socket that nobody answers on is replaced.
    pub(super) async fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Socket {
            path: path.to_owned(),
            source,
        };
        // It would be made, for it is made under a shorter name, and then nobody could connect to it.
        std::os::unix::net::SocketAddr::from_pathname(path).map_err(failed)?;
        if is_answered(path).await.map_err(failed)? {
            return Err(BindError::SocketInUse {
                path: path.to_owned(),
            });
        }
        let listener = make(path).map_err(failed)?;
        let identity = identity(path).map_err(failed)?;
        Ok(UnixSocket {
            listener,
            path: path.to_owned(),
            identity,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the socket's file stays behind");
        }
    }
}

/// Whether a program listens on `path`. Anything that is there and no socket is an error: it is not ours to remove.
async fn is_answered(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("there is something that is no socket"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // A full queue answers so: somebody is there, and busy.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Makes the socket in a folder that only its owner can enter, and moves it into place when its mode is set: at no moment could
/// another user have opened it, and whoever connects meanwhile finds the old one or the new one.
fn make(path: &Path) -> io::Result<UnixListener> {
    let folder = private_folder(path.parent().unwrap_or(Path::new(".")))?;
    let made = folder.join("s");
    let result = (|| {
        let listener = UnixListener::bind(&made)?;
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&made, path)?;
        Ok(listener)
    })();
    if result.is_err() {
        // Nothing may be there; the folder tells below.
        drop(std::fs::remove_file(&made));
    }
    if let Err(error) = std::fs::remove_dir(&folder) {
        tracing::warn!(%error, folder = %folder.display(), "a temporary folder stays behind");
    }
    result
}

fn private_folder(parent: &Path) -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..MAX_NAMES {
        // Short: the path of a socket has at most 107 bytes.
        let folder = parent.join(format!(".s{:08x}", rand::random::<u32>()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_its_owners_alone_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let socket = UnixSocket::bind(&path).await.unwrap();
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no folder stays"
        );
        let (client, server) = tokio::join!(UnixStream::connect(&path), socket.accept());
        client.unwrap();
        server.unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_alone_and_a_dead_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let first = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(
            UnixSocket::bind(&path).await,
            Err(BindError::SocketInUse { .. })
        ));
        drop(first);
        assert!(path.exists(), "a killed program leaves its socket behind");
        let socket = UnixSocket::bind(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        // Somebody took the place: theirs stays.
        std::fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        std::fs::write(&path, "precious").unwrap();
        let refused = UnixSocket::bind(&path).await.err().unwrap();
        assert!(refused.to_string().contains("server.unix_socket"), "{refused}");
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().len(), 8);
        let missing = folder.path().join("no/such/folder.sock");
        assert!(matches!(
            UnixSocket::bind(&missing).await,
            Err(BindError::Socket { .. })
        ));
        let long = folder.path().join("x".repeat(200));
        assert!(matches!(
            UnixSocket::bind(&long).await,
            Err(BindError::Socket { .. })
        ));
    }
}
