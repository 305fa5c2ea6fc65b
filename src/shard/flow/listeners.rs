//! The listeners of a shard: found by port in one step, told apart by local address.
//!
//! Refuses to know segments, and how many handshakes are under way: the table of embryos counts them.

use core::net::IpAddr;
use std::borrow::Cow;

use crate::shard::fast_open::config::FastOpenListener;
use crate::shard::flow::id::ListenerId;
use crate::tcp::congestion::Algorithm;
use crate::tcp::{EcnPolicy, Settings};

/// Listeners of one shard at most.
pub const LISTENERS_MAX: usize = 4096;

/// End of a chain.
const NONE: u16 = u16::MAX;

const _: () = assert!(LISTENERS_MAX < NONE as usize);

/// A passive open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The local address; `None` is all of them.
    pub address: Option<IpAddr>,
    /// The local port.
    pub port: u16,
    /// Handshakes under way at once. Past this the answer is a SYN cookie, or silence without
    /// [`cookies`](Self::cookies).
    pub backlog: u32,
    /// Whether SYN cookies may be sent when the backlog or the table of embryos is full.
    pub cookies: bool,
    /// The congestion control of its connections; `None` is the stack's.
    pub congestion: Option<Algorithm>,
    /// Whether its connections agree to ECN; `None` is as the shard's settings say.
    pub ecn: Option<EcnPolicy>,
    /// Whether data is taken from SYNs (RFC 7413 §4.2: `FastOpenEnabled`, off by default).
    pub fast_open: Option<FastOpenListener>,
}

impl ListenerConfig {
    /// All addresses, 1,024 handshakes at once, cookies past them.
    pub const fn on_port(port: u16) -> Self {
        Self {
            address: None,
            port,
            backlog: 1024,
            cookies: true,
            congestion: None,
            ecn: None,
            fast_open: None,
        }
    }
}

impl ListenerConfig {
    /// The shard's settings with what this listener has of its own.
    pub(in crate::shard) fn settings<'a>(&self, settings: &'a Settings) -> Cow<'a, Settings> {
        match self.ecn {
            None => Cow::Borrowed(settings),
            Some(ecn) => Cow::Owned(Settings { ecn, ..settings.clone() }),
        }
    }
}

/// Why a shard can't listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ListenError {
    /// Port 0 names no port.
    #[error("port 0 can't be listened on: name a port")]
    NoPort,
    /// The address is not one of the shard's.
    #[error("the address is not one of the stack's: give it with --address")]
    NotLocal,
    /// There is a listener on that address and port.
    #[error("another listener has that address and port: choose another port")]
    InUse,
    /// [`LISTENERS_MAX`] is reached.
    #[error("too many listeners: at most {LISTENERS_MAX}, those closed counted too")]
    TooMany,
}

/// A listener that is open.
#[derive(Debug)]
struct Listener {
    config: ListenerConfig,
    /// The index of the local address, or `None` for all.
    local: Option<u8>,
    next: u16,
}

/// All of them. A number is never used twice, so that an embryo of a closed listener finds nothing.
pub(in crate::shard) struct Listeners {
    entries: Vec<Option<Listener>>,
    first_by_port: Box<[u16]>,
    /// Whether any of them ever chose a congestion control: nearly none does, and a handshake that ends
    /// then looks at no listener.
    chose_congestion: bool,
}

impl Listeners {
    pub(in crate::shard) fn new() -> Self {
        let first_by_port = vec![NONE; 1 << 16].into_boxed_slice();
        Self { entries: Vec::new(), first_by_port, chose_congestion: false }
    }

    /// Opens a listener; `local` is the index of its address.
    pub(in crate::shard) fn open(
        &mut self,
        config: ListenerConfig,
        local: Option<u8>,
    ) -> Result<ListenerId, ListenError> {
        if config.port == 0 {
            return Err(ListenError::NoPort);
        }
        if self.chain(config.port).any(|id| self.entry(id).is_some_and(|l| l.local == local)) {
            return Err(ListenError::InUse);
        }
        if self.entries.len() >= LISTENERS_MAX {
            return Err(ListenError::TooMany);
        }
        let id = self.entries.len() as u16;
        self.chose_congestion |= config.congestion.is_some();
        let first = &mut self.first_by_port[usize::from(config.port)];
        self.entries.push(Some(Listener { config, local, next: *first }));
        *first = id;
        Ok(ListenerId(id))
    }

    /// Closes a listener; connections that it accepted live on.
    pub(in crate::shard) fn close(&mut self, id: ListenerId) {
        let Some(listener) = self.entries.get_mut(usize::from(id.0)).and_then(Option::take) else {
            return;
        };
        let port = usize::from(listener.config.port);
        if self.first_by_port[port] == id.0 {
            self.first_by_port[port] = listener.next;
            return;
        }
        let before = self
            .chain(listener.config.port)
            .find(|at| self.entry(*at).is_some_and(|l| l.next == id.0));
        if let Some(before) = before.and_then(|at| self.entries[usize::from(at)].as_mut()) {
            before.next = listener.next;
        }
    }

    /// The listener for a SYN: one on exactly that address goes before one on all.
    #[inline]
    pub(in crate::shard) fn find(&self, local: u8, port: u16) -> Option<ListenerId> {
        let mut any = None;
        let mut at = self.first_by_port[usize::from(port)];
        while let Some(listener) = self.entry(at) {
            match listener.local {
                Some(index) if index == local => return Some(ListenerId(at)),
                None => any = Some(ListenerId(at)),
                Some(_) => {}
            }
            at = listener.next;
        }
        any
    }

    /// The congestion control that a listener has chosen for its connections.
    #[inline]
    pub(in crate::shard) fn congestion(&self, id: ListenerId) -> Option<Algorithm> {
        if self.chose_congestion { self.config(id)?.congestion } else { None }
    }

    /// The same, to be changed.
    pub(in crate::shard) fn config_mut(&mut self, id: ListenerId) -> Option<&mut ListenerConfig> {
        let listener = self.entries.get_mut(usize::from(id.0))?.as_mut();
        listener.map(|listener| &mut listener.config)
    }

    /// The configuration of a listener, if it is open.
    #[inline]
    pub(in crate::shard) fn config(&self, id: ListenerId) -> Option<&ListenerConfig> {
        self.entry(id.0).map(|listener| &listener.config)
    }

    /// The numbers of the open ones.
    pub(in crate::shard) fn ids(&self) -> impl Iterator<Item = ListenerId> + '_ {
        let open = self.entries.iter().enumerate().filter(|(_, l)| l.is_some());
        open.map(|(id, _)| ListenerId(id as u16))
    }

    fn entry(&self, id: u16) -> Option<&Listener> {
        self.entries.get(usize::from(id))?.as_ref()
    }

    fn chain(&self, port: u16) -> impl Iterator<Item = u16> + '_ {
        let first = Some(self.first_by_port[usize::from(port)]).filter(|at| *at != NONE);
        core::iter::successors(first, |at| {
            self.entry(*at).map(|l| l.next).filter(|next| *next != NONE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(listeners: &mut Listeners, port: u16, local: Option<u8>) -> ListenerId {
        listeners.open(ListenerConfig::on_port(port), local).expect("a free port")
    }

    #[test]
    fn a_listener_on_the_very_address_goes_before_one_on_all() {
        let mut listeners = Listeners::new();
        let all = open(&mut listeners, 80, None);
        let one = open(&mut listeners, 80, Some(3));
        assert_eq!(listeners.find(3, 80), Some(one));
        assert_eq!(listeners.find(4, 80), Some(all));
        assert_eq!(listeners.find(3, 81), None);
    }

    #[test]
    fn a_closed_listener_is_not_found_and_its_number_not_used_again() {
        let mut listeners = Listeners::new();
        let first = open(&mut listeners, 80, None);
        let second = open(&mut listeners, 80, Some(1));
        let third = open(&mut listeners, 80, Some(2));
        listeners.close(second);
        assert_eq!(listeners.find(1, 80), Some(first));
        assert_eq!(listeners.find(2, 80), Some(third));
        listeners.close(first);
        assert_eq!(listeners.find(1, 80), None);
        assert!(listeners.config(first).is_none());
        assert!(open(&mut listeners, 80, None).0 > third.0);
        assert_eq!(listeners.ids().count(), 2);
    }

    #[test]
    fn the_same_address_and_port_can_be_listened_on_once() {
        let mut listeners = Listeners::new();
        open(&mut listeners, 80, None);
        let again = listeners.open(ListenerConfig::on_port(80), None);
        assert_eq!(again, Err(ListenError::InUse));
        assert_eq!(listeners.open(ListenerConfig::on_port(0), None), Err(ListenError::NoPort));
    }
}
