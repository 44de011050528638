//! Opens the listeners, or says what is in the way.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::tls::Tls;
use super::unix::UnixSocket;
use super::{Addresses, BindError};
use crate::parts::GatewayParts;

pub(super) struct Listeners {
    pub(super) tcp: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) unix: Option<UnixSocket>,
}

impl Listeners {
    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            tcp: self.address,
            unix: self.unix.as_ref().map(|socket| socket.path().to_owned()),
            encrypted: self.tls.is_some(),
        }
    }
}

pub(super) async fn bind(parts: &GatewayParts) -> Result<Listeners, BindError> {
    let settings = &parts.settings;
    let address = settings.listen;
    refuse_exposure(address, !parts.credentials.is_empty(), settings.tls.is_some())?;
    let tls = settings.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    let failed = |source| BindError::Address { address, source };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    let unix = match &settings.unix_socket {
        Some(path) => Some(UnixSocket::bind(path).await?),
        None => None,
    };
    Ok(Listeners {
        tcp,
        address,
        tls,
        unix,
    })
}

fn refuse_exposure(address: SocketAddr, has_credentials: bool, has_tls: bool) -> Result<(), BindError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let (missing, advice) = match (has_credentials, has_tls) {
        (true, true) => return Ok(()),
        (_, false) => (
            "TLS",
            "set security.enable_tls with a certificate and a key, or listen on 127.0.0.1",
        ),
        (false, true) => (
            "a credential that clients show",
            "set security.enable_auth, or listen on 127.0.0.1",
        ),
    };
    Err(BindError::Exposed {
        address,
        missing,
        advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_this_machine_only_with_credentials_and_tls() {
        let check = |address: &str, credentials, tls, missing: Option<&str>| {
            let refused = refuse_exposure(address.parse().unwrap(), credentials, tls).err();
            let found = refused.map(|error| match error {
                BindError::Exposed { missing, .. } => missing,
                other => panic!("{other}"),
            });
            assert_eq!(found, missing, "{address} {credentials} {tls}");
        };
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            check(local, false, false, None);
        }
        for reachable in ["0.0.0.0:1", "[::]:1", "192.168.1.5:1", "[::ffff:10.0.0.1]:1"] {
            check(reachable, true, true, None);
            check(reachable, true, false, Some("TLS"));
            check(reachable, false, false, Some("TLS"));
            check(reachable, false, true, Some("a credential that clients show"));
        }
    }
}
