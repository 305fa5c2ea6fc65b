//! The listeners of a shard: found by port in one step, distinguished by local address.
//!
//! Refuses to know segments, and the number of handshakes in progress: the SYN table counts them.

use core::net::IpAddr;
use std::borrow::Cow;

use crate::shard::fast_open::config::FastOpenListener;
use crate::shard::flow::id::ListenerId;
use crate::tcp::congestion::Algorithm;
use crate::tcp::{Connection, EcnPolicy, Env, MSS_BOUND_MIN, RECEIVE_BUFFER_MIN, Settings};
use crate::time::Duration;

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
    /// Calls [`Service::on_accept`](crate::shard::Service::on_accept) only once data or a FIN has
    /// arrived, like `TCP_DEFER_ACCEPT` of Linux. Until then the connection takes the memory of a
    /// handshake in progress, and counts as one. After this time the stack retransmits its SYN-ACK,
    /// and the next ACK opens the connection without data. A peer that answers a SYN cookie, sent
    /// beyond the backlog, is accepted at once.
    pub defer_accept: Option<Duration>,
    /// Options that the connections of this listener begin with.
    pub options: ListenerOptions,
}

/// The options that connections inherit from their listener. `None` uses the stack's. Each one is
/// described at the [`SocketOption`](crate::shard::SocketOption) of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Upper bound of the send buffer, bytes.
    pub send_buffer: Option<u32>,
    /// Upper bound of the receive buffer, bytes. It also sets the window of the SYN-ACK, and the
    /// window scale (RFC 7323 §2.3).
    pub receive_buffer: Option<u32>,
    /// Upper bound of the segments sent, and of the MSS in the SYN-ACK, bytes.
    pub mss: Option<u16>,
    /// TTL or hop limit of outgoing packets, from the first packet after the SYN-ACK on.
    pub hop_limit: Option<u8>,
}

impl ListenerOptions {
    /// No options.
    pub const NONE: Self =
        Self { send_buffer: None, receive_buffer: None, mss: None, hop_limit: None };

    /// Returns true if no option is set.
    #[inline]
    const fn is_none(&self) -> bool {
        let Self { send_buffer, receive_buffer, mss, hop_limit } = self;
        send_buffer.is_none() && receive_buffer.is_none() && mss.is_none() && hop_limit.is_none()
    }

    /// Applies the options to a new connection.
    #[cold]
    fn apply(&self, connection: &mut Connection, env: &mut Env<'_>) {
        if self.send_buffer.is_some() {
            connection.set_send_buffer(env, self.send_buffer);
        }
        if self.receive_buffer.is_some() {
            connection.set_receive_buffer(env, self.receive_buffer);
        }
        if let Some(mss) = self.mss {
            connection.set_mss_max(env, mss);
        }
        if self.hop_limit.is_some() {
            connection.set_hop_limit(self.hop_limit);
        }
    }
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
            defer_accept: None,
            options: ListenerOptions::NONE,
        }
    }
}

impl ListenerConfig {
    /// Returns true if connections differ from those of a listener on the same port without
    /// choices.
    const fn has_choices(&self) -> bool {
        self.congestion.is_some() || self.ecn.is_some() || !self.options.is_none()
    }

    /// Returns the shard's settings with this listener's own choices applied.
    #[cold]
    fn settings<'a>(&self, settings: &'a Settings) -> Cow<'a, Settings> {
        if self.ecn.is_none() && self.options.is_none() {
            return Cow::Borrowed(settings);
        }
        let receive_buffer = settings.receive_buffer.min(self.receive_buffer());
        let mss = settings.mss.map(|mss| mss.min(self.mss()));
        let ecn = self.ecn.unwrap_or(settings.ecn);
        Cow::Owned(Settings { ecn, receive_buffer, mss, ..settings.clone() })
    }

    /// Applies the choices to a new connection.
    #[cold]
    pub(in crate::shard) fn apply(&self, connection: &mut Connection, env: &mut Env<'_>) {
        if let Some(algorithm) = self.congestion {
            connection.set_congestion_control(algorithm);
        }
        if !self.options.is_none() {
            self.options.apply(connection, env);
        }
    }

    /// Returns the upper bound of the receive buffer, and with it of the first window.
    fn receive_buffer(&self) -> u32 {
        self.options.receive_buffer.map_or(u32::MAX, |bytes| bytes.max(RECEIVE_BUFFER_MIN))
    }

    /// Returns the upper bound of the MSS.
    pub(in crate::shard) fn mss(&self) -> u16 {
        self.options.mss.map_or(u16::MAX, |mss| mss.max(MSS_BOUND_MIN))
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
    /// True if any listener has ever had choices for its connections. Few do, and while none has, a
    /// handshake takes the shard's settings as they are.
    has_choices: bool,
}

impl Listeners {
    pub(in crate::shard) fn new() -> Self {
        let first_by_port = vec![NONE; 1 << 16].into_boxed_slice();
        Self { entries: Vec::new(), first_by_port, has_choices: false }
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
        self.has_choices |= config.has_choices();
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

    /// Returns the configuration of an open listener, if any has choices for its connections.
    #[inline]
    pub(in crate::shard) fn choices(&self, id: ListenerId) -> Option<&ListenerConfig> {
        if self.has_choices { self.config(id) } else { None }
    }

    /// Returns the shard's settings with the choices of an open listener applied.
    #[inline]
    pub(in crate::shard) fn settings<'a>(
        &self,
        id: ListenerId,
        settings: &'a Settings,
    ) -> Cow<'a, Settings> {
        self.choices(id).map_or(Cow::Borrowed(settings), |config| config.settings(settings))
    }

    /// Returns the upper bound of the first window of a listener's connections.
    #[inline]
    pub(in crate::shard) fn window_max(&self, id: ListenerId) -> u32 {
        self.choices(id).map_or(u32::MAX, ListenerConfig::receive_buffer)
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
