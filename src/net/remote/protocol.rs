//! The entries between a client and a worker: operations, notices, addresses, causes.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net::ring::Entry;

/// Stream number of entries that are about no stream.
pub(super) const NO_STREAM: u32 = u32::MAX;

/// Operations that a client submits.
pub(super) mod op {
    /// Open a connection to the address; the stream's rings are prepared.
    pub(in crate::net::remote) const CONNECT: u8 = 1;
    /// Listen on the address. One listener a seat.
    pub(in crate::net::remote) const LISTEN: u8 = 2;
    /// Use the stream for the next accepted connection; its rings are prepared.
    pub(in crate::net::remote) const CREDIT: u8 = 3;
    /// The flags say what is new about the stream.
    pub(in crate::net::remote) const STREAM: u8 = 4;
    /// Close the seat's listener.
    pub(in crate::net::remote) const UNLISTEN: u8 = 5;
}

/// Flags of [`op::STREAM`].
pub(super) mod flag {
    /// Bytes were written, or read.
    pub(in crate::net::remote) const MOVED: u8 = 1;
    /// The client waits for room to write.
    pub(in crate::net::remote) const WANTS_ROOM: u8 = 2;
    /// Send FIN after what was written.
    pub(in crate::net::remote) const SHUT: u8 = 4;
    /// The client has dropped the stream.
    pub(in crate::net::remote) const DROPPED: u8 = 8;
    /// Reset the connection.
    pub(in crate::net::remote) const ABORT: u8 = 16;
    /// Turn Nagle's algorithm off, or on with the next flag.
    pub(in crate::net::remote) const NODELAY: u8 = 32;
    /// Turn Nagle's algorithm on.
    pub(in crate::net::remote) const DELAY: u8 = 64;
}

/// Flags of a completion: what is new about its stream.
pub(super) mod notice {
    /// Bytes can be read.
    pub(in crate::net::remote) const READABLE: u8 = 1;
    /// There is room to write.
    pub(in crate::net::remote) const WRITABLE: u8 = 2;
    /// The worker waits for room for received bytes.
    pub(in crate::net::remote) const WANTS_ROOM: u8 = 4;
    /// The peer has closed its direction: what can be read is the rest.
    pub(in crate::net::remote) const PEER_CLOSED: u8 = 8;
    /// The connection is open. The entry has its local address.
    pub(in crate::net::remote) const OPENED: u8 = 16;
    /// The connection is over, for the cause in the code. The worker has dropped its rings.
    pub(in crate::net::remote) const CLOSED: u8 = 32;
    /// The stream is an accepted connection. The entry has the address of the peer.
    pub(in crate::net::remote) const ACCEPTED: u8 = 64;
    /// The seat's listener is open, or has failed for the cause in the code.
    pub(in crate::net::remote) const LISTENING: u8 = 128;
}

/// Puts an address into an entry.
pub(super) fn with_address(entry: Entry, address: SocketAddr) -> Entry {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let bits = ip.to_bits();
    let arguments = [(bits >> 64) as u64, bits as u64];
    Entry { length: u32::from(address.port()), arguments, ..entry }
}

/// Returns the address of an entry. Every entry has one.
pub(super) fn address_of(entry: &Entry) -> SocketAddr {
    let [high, low] = entry.arguments;
    let ip = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
    let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
    SocketAddr::new(ip, entry.length as u16)
}

/// The unspecified IPv4 address and port 0: of a connection whose address is not known any more.
pub(super) const NO_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The causes, by code. Code 0 is none; the others count from 1.
const CAUSES: [(ErrorKind, &str); 14] = [
    (ErrorKind::ConnectionAborted, "this program reset the connection"),
    (ErrorKind::ConnectionReset, "the peer reset the connection"),
    (ErrorKind::ConnectionRefused, "nothing listens at the target"),
    (ErrorKind::TimedOut, "the peer did not answer in time"),
    (ErrorKind::HostUnreachable, "the target is unreachable"),
    (ErrorKind::NetworkUnreachable, "no route to the target"),
    (ErrorKind::AddrNotAvailable, "no local address or port is available"),
    (ErrorKind::AddrInUse, "another listener uses the address and port"),
    (ErrorKind::InvalidInput, "the address or port is invalid"),
    (ErrorKind::OutOfMemory, "a limit of the stack is reached"),
    (ErrorKind::Unsupported, "the stack does not support it"),
    (ErrorKind::BrokenPipe, "the sending direction is closed"),
    (ErrorKind::NotConnected, "the stack has stopped, or drains"),
    (ErrorKind::Other, "the connection has failed"),
];

/// Returns the code of a cause.
pub(super) fn code_of(error: &Error) -> u16 {
    let known = CAUSES.iter().position(|(kind, _)| *kind == error.kind());
    known.map_or(CAUSES.len(), |at| at + 1) as u16
}

/// Returns the cause of a code; `None` for 0.
pub(super) fn cause_of(code: u16) -> Option<Error> {
    let index = usize::from(code).checked_sub(1)?;
    let (kind, message) = CAUSES.get(index).copied().unwrap_or(CAUSES[CAUSES.len() - 1]);
    Some(Error::new(kind, message))
}

/// Returns the error of a stack that has ended.
pub(super) fn ended() -> Error {
    Error::new(ErrorKind::NotConnected, "the stack has stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_through_an_entry() {
        for text in ["10.0.0.2:80", "[fd00::2]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(address_of(&with_address(Entry::default(), address)), address);
        }
    }

    #[test]
    fn a_cause_keeps_its_kind() {
        assert!(cause_of(0).is_none());
        for (kind, _) in CAUSES {
            let code = code_of(&kind.into());
            assert_eq!(cause_of(code).map(|error| error.kind()), Some(kind));
        }
        assert_eq!(cause_of(u16::MAX).map(|error| error.kind()), Some(ErrorKind::Other));
    }
}
