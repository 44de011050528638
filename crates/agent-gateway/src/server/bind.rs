//! Opens the listeners.

use tokio::net::TcpListener;

use super::{Addresses, BindError};
use crate::parts::GatewayParts;

pub(super) struct Listeners {
    pub(super) tcp: TcpListener,
}

impl Listeners {
    pub(super) fn addresses(&self) -> Result<Addresses, BindError> {
        Ok(Addresses {
            tcp: self.tcp.local_addr().map_err(|source| BindError::Address {
                address: ([0, 0, 0, 0], 0).into(),
                source,
            })?,
            unix: None,
            encrypted: false,
        })
    }
}

pub(super) async fn bind(parts: &GatewayParts) -> Result<Listeners, BindError> {
    let address = parts.settings.listen;
    if !address.ip().is_loopback() && (parts.credentials.is_empty() || parts.settings.tls.is_none()) {
        return Err(BindError::Exposed {
            address,
            missing: "credentials and TLS",
            advice: "set security.enable_tls, or listen on 127.0.0.1",
        });
    }
    let failed = |source| BindError::Address { address, source };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    Ok(Listeners { tcp })
}
