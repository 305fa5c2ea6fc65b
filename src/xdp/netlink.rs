//! One netlink query and the attributes of its answer.
//!
//! Owns only the framing; callers know the families, messages and attributes.

use std::io;

use netlink_sys::{Socket, SocketAddr};

/// linux/netlink.h.
const REQUEST: u16 = 1;
const HEADER_LEN: usize = 16;
const MESSAGE_ERROR: u16 = 2;
/// The two highest bits of an attribute's kind are flags: nested, and byte order.
const KIND_MASK: u16 = 0x3fff;

/// A socket of one netlink protocol.
pub(super) struct Netlink {
    socket: Socket,
}

impl Netlink {
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Sends one request and receives its answer. `fixed` is the family's own header, which has the
    /// same length in both. Returns the attributes behind it.
    pub(super) fn query(&self, kind: u16, fixed: &[u8], attributes: &[u8]) -> io::Result<Vec<u8>> {
        let len = HEADER_LEN + fixed.len() + attributes.len();
        let mut request = Vec::with_capacity(len);
        request.extend(u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend(REQUEST.to_ne_bytes());
        // Sequence number and port are not needed with one request at a time.
        request.extend([0; 8]);
        request.extend(fixed);
        request.extend(attributes);
        self.socket.send(&request, 0)?;
        let (answer, _) = self.socket.recv_from_full()?;
        payload(&answer, fixed.len())
    }
}

/// Returns the attributes behind the headers of an answer, or its error.
fn payload(answer: &[u8], fixed_len: usize) -> io::Result<Vec<u8>> {
    let (Some(kind), Some(body)) = (word16(answer, 4), answer.get(HEADER_LEN..)) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if kind == MESSAGE_ERROR {
        let code = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
    }
    Ok(body.get(fixed_len..).unwrap_or_default().to_vec())
}

/// Encodes an attribute, padded to four bytes.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = 4 + value.len();
    let mut bytes = Vec::with_capacity(len.next_multiple_of(4));
    bytes.extend(u16::try_from(len).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(len.next_multiple_of(4), 0);
    bytes
}

/// Returns the value of the first attribute of a kind.
pub(super) fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(word16(attributes, 0)?);
        let kind = word16(attributes, 2)? & KIND_MASK;
        let value = attributes.get(4..len)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

/// Returns the first attribute of a kind as a 32-bit number.
pub(super) fn find_u32(attributes: &[u8], wanted: u16) -> Option<u32> {
    Some(u32::from_ne_bytes(*find(attributes, wanted)?.first_chunk()?))
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_behind_others_is_found() {
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
            let _ = payload(&list[..len], 4);
        }
        assert_eq!(find(&[0; 16], 9), None, "a length of zero does not loop");
    }
}
