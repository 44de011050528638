use super::context::ClientAddress;
use super::origin::Arrival;
use std::net::IpAddr;

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(super) address: ClientAddress,
    pub(super) arrival: Arrival,
}

impl Caller {
    /// Over TCP, from `client` to the address `local`.
    pub(crate) fn tcp(client: IpAddr, local: IpAddr, encrypted: bool) -> Self {
        Caller {
            address: ClientAddress::Ip(client.to_canonical()),
            arrival: Arrival {
                local: Some(local),
                encrypted,
            },
        }
    }

    /// Over the Unix socket.
    pub(crate) fn unix() -> Self {
        Caller {
            address: ClientAddress::Local,
            arrival: Arrival {
                local: None,
                encrypted: false,
            },
        }
    }
}
