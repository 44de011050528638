use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::context::ClientAddress;
use super::origin::Arrival;

/// Who is at the other end of a connection, and what the connection has seen of it.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(super) address: ClientAddress,
    pub(super) arrival: Arrival,
    unread: AtomicBool,
    /// Bodies of requests that somebody still reads.
    reading: AtomicU32,
}

impl Caller {
    /// Over TCP, from `client` to the address `local`.
    pub(crate) fn tcp(client: IpAddr, local: IpAddr, encrypted: bool) -> Self {
        let local = Some(local.to_canonical());
        Self::new(
            ClientAddress::Ip(client.to_canonical()),
            Arrival { local, encrypted },
        )
    }

    /// Over the Unix socket.
    pub(crate) fn unix() -> Self {
        let (local, encrypted) = (None, false);
        Self::new(ClientAddress::Local, Arrival { local, encrypted })
    }

    fn new(address: ClientAddress, arrival: Arrival) -> Self {
        Caller {
            address,
            arrival,
            unread: AtomicBool::new(false),
            reading: AtomicU32::new(0),
        }
    }

    /// Somebody begins to read a request's body.
    pub(super) fn body_begins(&self) {
        self.reading.fetch_add(1, Relaxed);
    }

    /// Nobody reads it any more.
    pub(super) fn body_ends(&self) {
        self.reading.fetch_sub(1, Relaxed);
    }

    /// Whether some of a request's body may still be on the connection.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.load(Relaxed) > 0 || self.left_a_body_unread()
    }

    /// A request's body was given up before its end: what the client still sends is nobody's.
    pub(super) fn leave_a_body_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    pub(crate) fn left_a_body_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }
}
