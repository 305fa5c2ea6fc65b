//! What a driver says of its own XDP support, through the generic netlink family `netdev` (Linux 6.3).
//!
//! Owns the two messages that takes. Older kernels have no such family, which is no error of ours.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

/// linux/netlink.h and linux/genetlink.h.
const REQUEST: u16 = 1;
const HEADER_LEN: usize = 16;
const GENERIC_HEADER_LEN: usize = 4;
const MESSAGE_ERROR: u16 = 2;
const CONTROL_FAMILY: u16 = 0x10;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;

/// linux/netdev.h.
const DEVICE_GET: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;
const DEVICE_ZERO_COPY_SEGMENTS: u16 = 4;

/// The `NETDEV_XDP_ACT_*` bits of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    bits: u64,
    /// Descriptors that one packet may take in zero-copy mode; 0 where there is none.
    pub zero_copy_segments_max: u32,
}

impl XdpFeatures {
    /// Programs run in the driver.
    pub const fn native(self) -> bool {
        self.bits & 1 != 0
    }

    /// A program in the driver may redirect, which AF_XDP needs.
    pub const fn redirect(self) -> bool {
        self.bits & 1 << 1 != 0
    }

    /// AF_XDP sockets may share the driver's buffers.
    pub const fn zero_copy(self) -> bool {
        self.bits & 1 << 3 != 0
    }

    /// Frames of several buffers are received by frags-aware programs.
    pub const fn multi_buffer(self) -> bool {
        self.bits & 1 << 5 != 0
    }
}

/// Asks for the features of the interface with this index.
pub(super) fn of(index: u32) -> io::Result<XdpFeatures> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let name = attribute(CONTROL_FAMILY_NAME, b"netdev\0");
    let answer = exchange(&socket, CONTROL_FAMILY, CONTROL_GET_FAMILY, &name)?;
    let family = find(&answer, CONTROL_FAMILY_ID)
        .and_then(|value| value.try_into().ok())
        .map(u16::from_ne_bytes)
        .ok_or(io::ErrorKind::Unsupported)?;
    let wanted = attribute(DEVICE_INDEX, &index.to_ne_bytes());
    let answer = exchange(&socket, family, DEVICE_GET, &wanted)?;
    let bits = find(&answer, DEVICE_XDP_FEATURES)
        .and_then(|value| value.try_into().ok())
        .map(u64::from_ne_bytes)
        .ok_or(io::ErrorKind::Unsupported)?;
    let zero_copy_segments_max = find(&answer, DEVICE_ZERO_COPY_SEGMENTS)
        .and_then(|value| value.try_into().ok())
        .map_or(0, u32::from_ne_bytes);
    Ok(XdpFeatures { bits, zero_copy_segments_max })
}

/// An attribute, padded to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = 4 + value.len();
    let mut bytes = Vec::with_capacity(len.next_multiple_of(4));
    bytes.extend(u16::try_from(len).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(len.next_multiple_of(4), 0);
    bytes
}

/// One request, and the attributes of its one answer.
fn exchange(socket: &Socket, family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    let len = HEADER_LEN + GENERIC_HEADER_LEN + attributes.len();
    let mut request = Vec::with_capacity(len);
    request.extend(u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend([0; 8]); // sequence number and port: one request at a time needs neither
    request.extend([command, 1, 0, 0]);
    request.extend(attributes);
    socket.send(&request, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    payload(&answer)
}

/// The attributes behind the headers of an answer, or the error that it carries.
fn payload(answer: &[u8]) -> io::Result<Vec<u8>> {
    let (Some(kind), Some(body)) = (word16(answer, 4), answer.get(HEADER_LEN..)) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if kind == MESSAGE_ERROR {
        let code =
            body.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
    }
    Ok(body.get(GENERIC_HEADER_LEN..).unwrap_or_default().to_vec())
}

fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(word16(attributes, 0)?);
        let kind = word16(attributes, 2)?;
        let value = attributes.get(4..len)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_behind_others() {
        let mut list = attribute(7, b"odd");
        list.extend(attribute(9, &5u32.to_ne_bytes()));
        assert_eq!(find(&list, 9), Some(&5u32.to_ne_bytes()[..]));
        assert_eq!(find(&list, 7), Some(&b"odd"[..]));
        assert_eq!(find(&list, 8), None);
    }

    #[test]
    fn a_damaged_list_ends_the_search() {
        let list = attribute(7, b"value");
        for len in 0..list.len() {
            let _ = find(&list[..len], 9);
            let _ = payload(&list[..len]);
        }
        assert_eq!(find(&[0; 16], 9), None, "a length of zero does not loop");
    }
}
