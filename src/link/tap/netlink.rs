//! One rtnetlink(7) request and its answer.

use std::io;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    socket,
};

/// `struct nlmsghdr`, bytes.
const HEADER: usize = 16;

/// An rtnetlink request: a header, the fixed part of its type, attributes.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// Starts a request of the type `kind` (`RTM_*`); `flags` are `NLM_F_*` besides those of every
    /// request.
    pub(super) fn new(kind: u16, flags: libc::c_int) -> Self {
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Self(bytes)
    }

    /// Appends the fixed part, whose length is a multiple of four.
    pub(super) fn fixed(mut self, parts: &[&[u8]]) -> Self {
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        debug_assert_eq!(self.0.len() % 4, 0, "attributes are aligned");
        self
    }

    /// Appends an attribute, whose value has a length that is a multiple of four.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len = 4 + value.len() as u16;
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        debug_assert_eq!(self.0.len() % 4, 0, "attributes are aligned");
        self
    }

    /// Sends the request in the network namespace of the calling thread and waits for the answer.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn send(mut self) -> io::Result<()> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        bind(fd, &NetlinkAddr::new(0, 0))?;
        sendto(fd, &self.0, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let len = recv(fd, &mut answer, MsgFlags::empty())?;
        parse_answer(&answer[..len])
    }
}

/// Parses `NLMSG_ERROR`: a header, then a negative errno or zero.
fn parse_answer(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.first_chunk()).copied();
    let errno = answer.get(HEADER..).and_then(|bytes| bytes.first_chunk()).copied();
    match (kind.map(u16::from_ne_bytes), errno.map(i32::from_ne_bytes)) {
        (Some(kind), Some(0)) if i32::from(kind) == libc::NLMSG_ERROR => Ok(()),
        (Some(kind), Some(errno)) if i32::from(kind) == libc::NLMSG_ERROR => {
            Err(io::Error::from_raw_os_error(errno.saturating_neg()))
        }
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is no NLMSG_ERROR"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u16, errno: i32) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[16..].copy_from_slice(&errno.to_ne_bytes());
        bytes
    }

    #[test]
    fn an_answer_is_consent_or_the_errno_of_the_refusal() {
        assert!(parse_answer(&answer(2, 0)).is_ok());
        let refused = parse_answer(&answer(2, -libc::EPERM)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert!(parse_answer(&answer(3, 0)).is_err());
        assert!(parse_answer(&answer(2, 0)[..17]).is_err());
    }

    #[test]
    fn a_request_to_an_interface_that_does_not_exist_is_refused() {
        let none = [&[0; 4][..], &i32::MAX.to_ne_bytes(), &[0; 8]];
        let refused = Request::new(libc::RTM_NEWLINK, 0).fixed(&none).send().unwrap_err();
        // EPERM comes first without privileges.
        assert!(matches!(refused.raw_os_error(), Some(libc::ENODEV | libc::EPERM)), "{refused}");
    }
}
