//! The listeners of a shard: found by port in one step, distinguished by local address.
//!
//! Refuses to know segments, and the number of handshakes in progress: the SYN table counts them.

use core::net::IpAddr;
use std::borrow::Cow;

use crate::shard::fast_open::config::FastOpenListener;
use crate::shard::flow::id::ListenerId;
use crate::tcp::congestion::Algorithm;
use crate::tcp::{EcnPolicy, Settings};

/// Maximum number of listeners of one shard.
pub const LISTENERS_MAX: usize = 4096;

/// End of a chain.
const NONE: u16 = u16::MAX;

const _: () = assert!(LISTENERS_MAX < NONE as usize);

/// Configuration of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Local address; `None` listens on all.
    pub address: Option<IpAddr>,
    /// Local port.
    pub port: u16,
    /// Maximum number of handshakes in progress. Beyond it the listener answers with a SYN cookie,
    /// or drops the SYN without [`cookies`](Self::cookies).
    pub backlog: u32,
    /// Allows SYN cookies when the backlog or the SYN table is full.
    pub cookies: bool,
    /// Congestion control of the connections; `None` uses that of the stack.
    pub congestion: Option<Algorithm>,
    /// ECN policy of the connections; `None` uses that of the settings.
    pub ecn: Option<EcnPolicy>,
    /// Accepts data in SYNs (RFC 7413 §4.2: `FastOpenEnabled`, off by default).
    pub fast_open: Option<FastOpenListener>,
}

impl ListenerConfig {
    /// Creates a configuration for all addresses, 1,024 handshakes in progress, and cookies beyond
    /// them.
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
    /// Returns the shard's settings with this listener's own choices applied.
    pub(in crate::shard) fn settings<'a>(&self, settings: &'a Settings) -> Cow<'a, Settings> {
        match self.ecn {
            None => Cow::Borrowed(settings),
            Some(ecn) => Cow::Owned(Settings { ecn, ..settings.clone() }),
        }
    }
}

/// Error of opening a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ListenError {
    /// Port 0 names no port.
    #[error("cannot listen on port 0: give a port from 1 to 65535")]
    NoPort,
    /// The address is not one of the shard's.
    #[error("the stack does not own the address: give it with --address")]
    NotLocal,
    /// Another listener uses this address and port.
    #[error("another listener uses this address and port: choose another port")]
    InUse,
    /// The shard has opened [`LISTENERS_MAX`] listeners, closed ones included.
    #[error("too many listeners: at most {LISTENERS_MAX}, closed ones included")]
    TooMany,
    /// The stack opens listeners only at its start.
    #[error("this stack opens listeners only at its start: configure them")]
    Fixed,
}

/// An open listener.
#[derive(Debug)]
struct Listener {
    config: ListenerConfig,
    /// Number of the local address, or `None` for all.
    local: Option<u8>,
    next: u16,
}

/// The listeners of a shard. A number is never reused, so an embryo of a closed listener finds
/// nothing.
pub(in crate::shard) struct Listeners {
    entries: Vec<Option<Listener>>,
    first_by_port: Box<[u16]>,
    /// True if any listener has ever chosen a congestion control. Few do, and while none has, the
    /// end of a handshake reads no listener.
    chose_congestion: bool,
}

impl Listeners {
    pub(in crate::shard) fn new() -> Self {
        let first_by_port = vec![NONE; 1 << 16].into_boxed_slice();
        Self { entries: Vec::new(), first_by_port, chose_congestion: false }
    }

    /// Opens a listener; `local` is the number of its address.
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

    /// Closes a listener. Accepted connections live on.
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

    /// Returns the listener for a SYN. A listener on exactly this address takes precedence over one
    /// on all.
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

    /// Returns the congestion control that a listener has chosen for its connections.
    #[inline]
    pub(in crate::shard) fn congestion(&self, id: ListenerId) -> Option<Algorithm> {
        if self.chose_congestion { self.config(id)?.congestion } else { None }
    }

    /// Returns the configuration of an open listener for modification.
    pub(in crate::shard) fn config_mut(&mut self, id: ListenerId) -> Option<&mut ListenerConfig> {
        let listener = self.entries.get_mut(usize::from(id.0))?.as_mut();
        listener.map(|listener| &mut listener.config)
    }

    /// Returns the configuration of an open listener.
    #[inline]
    pub(in crate::shard) fn config(&self, id: ListenerId) -> Option<&ListenerConfig> {
        self.entry(id.0).map(|listener| &listener.config)
    }

    /// Returns the handles of the open listeners.
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
    fn a_listener_on_the_exact_address_precedes_one_on_all() {
        let mut listeners = Listeners::new();
        let all = open(&mut listeners, 80, None);
        let one = open(&mut listeners, 80, Some(3));
        assert_eq!(listeners.find(3, 80), Some(one));
        assert_eq!(listeners.find(4, 80), Some(all));
        assert_eq!(listeners.find(3, 81), None);
    }

    #[test]
    fn a_closed_listener_is_not_found_and_its_number_not_reused() {
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
    fn an_address_and_port_have_one_listener() {
        let mut listeners = Listeners::new();
        open(&mut listeners, 80, None);
        let again = listeners.open(ListenerConfig::on_port(80), None);
        assert_eq!(again, Err(ListenError::InUse));
        assert_eq!(listeners.open(ListenerConfig::on_port(0), None), Err(ListenError::NoPort));
    }
}
