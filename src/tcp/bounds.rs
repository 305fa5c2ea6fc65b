//! The bounds that a program sets on one connection: buffer sizes, segment size, hop limit, and the
//! low-water marks of its notifications.
//!
//! A connection without bounds pays one test of a mark that is loaded anyway.

use crate::tcp::buffer::Promise;
use crate::tcp::mss::effective_mss;
use crate::tcp::state::{Bounds, Marks};
use crate::tcp::{Connection, Env, Events, Settings};

/// Smallest send buffer, bytes, half of Linux's `SOCK_MIN_SNDBUF` (include/net/sock.h), whose other
/// half is overhead. A smaller one would make a packet of every few bytes.
const SEND_BUFFER_MIN: u32 = 2304;

/// Smallest receive buffer, bytes, half of Linux's `SOCK_MIN_RCVBUF`. A smaller window would keep
/// most peers from ever sending a full segment.
pub const RECEIVE_BUFFER_MIN: u32 = 1152;

/// Smallest MSS that a program can ask for: `TCP_MIN_MSS` of Linux (include/net/tcp.h). With less,
/// options leave almost no room for data.
pub const MSS_BOUND_MIN: u16 = 88;

impl Connection {
    /// Returns the bounds in force.
    pub(in crate::tcp) fn bounds(&self) -> Bounds {
        self.choices.as_ref().map_or(Bounds::NONE, |choices| choices.bounds)
    }

    /// Changes the bounds. One that bounds nothing allocates nothing.
    fn set_bounds(&mut self, change: impl FnOnce(&mut Bounds)) {
        let mut bounds = self.bounds();
        change(&mut bounds);
        self.marks.remove(Marks::BOUNDED);
        if bounds != Bounds::NONE {
            self.marks.insert(Marks::BOUNDED);
        }
        if bounds != Bounds::NONE || self.choices.is_some() {
            self.choices_mut().bounds = bounds;
        }
    }

    /// Returns true if our SYN or SYN-ACK has not left yet.
    fn is_before_syn(&self) -> bool {
        self.phase.is_opening() && self.snd.nxt == self.snd.iss
    }

    /// Bounds the send buffer, in bytes; `None` leaves it to the settings. What is written already
    /// stays.
    pub fn set_send_buffer(&mut self, env: &mut Env<'_>, bytes: Option<u32>) {
        let bytes = bytes.map_or(u32::MAX, |bytes| bytes.max(SEND_BUFFER_MIN));
        self.set_bounds(|bounds| bounds.send_buffer = bytes);
        self.notify_writable(env.settings);
        self.settle(env);
    }

    /// Bounds the receive buffer, in bytes; `None` leaves it to the settings. An offered window
    /// never shrinks (RFC 9293 §3.8.6): a smaller buffer takes effect as data arrives. If set
    /// before the SYN leaves, it determines the window shift too (RFC 7323 §2.3).
    pub fn set_receive_buffer(&mut self, env: &mut Env<'_>, bytes: Option<u32>) {
        let bytes = bytes.map_or(u32::MAX, |bytes| bytes.max(RECEIVE_BUFFER_MIN));
        let opens = self.is_before_syn();
        self.set_bounds(|bounds| {
            bounds.receive_buffer = bytes;
            if opens {
                bounds.scaled_buffer = bytes;
            }
        });
        let most = self.receive_buffer_max(env.settings);
        if self.rcv.promise.is_held() {
            let needed = most.max(self.incoming.capacity());
            env.pool.accounts.lower(&mut self.rcv.promise, needed);
        } else {
            let first = Promise::credit(env.settings.first_receive_buffer().min(most));
            self.rcv.promise = self.rcv.promise.with(first.shift(), false);
        }
        if opens {
            let wnd = env.settings.syn_window().min(env.pool.credit()).min(most);
            self.rcv.edge = self.rcv.nxt + wnd;
        }
        self.update_window_after_read(env);
        self.settle(env);
    }

    /// Bounds the segments sent, in bytes of data and TCP options. If set before the SYN leaves, it
    /// bounds the MSS announced to the peer too (RFC 9293 §3.7.1, RFC 6691). The segments of an
    /// open connection only shrink; those in flight stay as they are.
    pub fn set_mss_max(&mut self, env: &mut Env<'_>, mss: u16) {
        let mss = mss.max(MSS_BOUND_MIN);
        self.set_bounds(|bounds| bounds.mss = mss);
        let effective = effective_mss(mss, self.marks.has(Marks::TIMESTAMPS));
        if effective < self.snd.mss && !self.phase.is_opening() {
            self.snd.mss = effective;
            self.recovery.controller.on_mss(effective);
        }
        self.settle(env);
    }

    /// Sets the TTL or hop limit of outgoing packets, at least 1; `None` uses that of the host
    /// (RFC 9293 MUST-49).
    pub fn set_hop_limit(&mut self, hops: Option<u8>) {
        self.set_bounds(|bounds| bounds.hop_limit = hops.map(|hops| hops.max(1)));
    }

    /// Sets the number of unsent bytes below which the program may write; `None` leaves it to the
    /// send buffer. Bytes that leave at once do not count as unsent.
    pub fn set_unsent_low_water(&mut self, env: &mut Env<'_>, bytes: Option<u32>) {
        self.set_bounds(|bounds| bounds.unsent = bytes.map_or(u32::MAX, |bytes| bytes.max(1)));
        self.notify_writable(env.settings);
        self.settle(env);
    }

    /// Sets the number of readable bytes from which [`Events::READABLE`] is reported. Less is
    /// reported too with the peer's FIN, and if the peer cannot send any more.
    pub fn set_receive_low_water(&mut self, env: &mut Env<'_>, bytes: u32) {
        let before = self.bounds().readable;
        self.set_bounds(|bounds| bounds.readable = bytes.max(1));
        // Linux, net/ipv4/tcp.c, tcp_set_rcvlowat: "Check if we need to signal EPOLLIN right now".
        let withheld = (1..before).contains(&self.incoming.len());
        if withheld && self.is_worth_reading(env) {
            self.events.insert(Events::READABLE);
        }
    }

    /// Returns the program's TTL or hop limit.
    #[inline]
    pub fn hop_limit(&self) -> Option<u8> {
        if self.marks.has(Marks::BOUNDED) { self.bounds().hop_limit } else { None }
    }
}

/// Limits that follow from the bounds.
impl Connection {
    /// Returns the maximum receive buffer. A window below one unit cannot be announced.
    pub(in crate::tcp) fn receive_buffer_max(&self, settings: &Settings) -> u32 {
        let unit = self.rcv.shift.scale(1);
        settings.receive_buffer.min(self.bounds().receive_buffer.max(unit))
    }

    /// Returns the receive buffer that the window shift of our SYN must cover.
    pub(in crate::tcp) fn scaled_buffer(&self, settings: &Settings) -> u32 {
        settings.receive_buffer.min(self.bounds().scaled_buffer)
    }

    /// Returns the largest segment that we announce and send, in bytes of data and TCP options.
    pub(in crate::tcp) fn mss_max(&self, settings: &Settings) -> u16 {
        settings.mss[usize::from(self.marks.has(Marks::IPV6))].min(self.bounds().mss)
    }

    /// Returns the bytes of the written data that cwnd and the peer's window let out at once.
    fn leaving(&self) -> u32 {
        if !self.phase.may_send() || self.is_held_back() {
            return 0;
        }
        self.new_allowance().min(self.snd.window_from(self.snd.nxt))
    }

    /// Returns the free bytes in the send buffer of a bounded connection. A write below the mark of
    /// unsent bytes may exceed it by a part of a segment.
    #[cold]
    pub(in crate::tcp) fn bounded_room(&self, settings: &Settings) -> u32 {
        let free = self.send_buffer(settings).saturating_sub(self.outgoing.len());
        let most = self.bounds().unsent.saturating_add(self.leaving());
        let unsent = self.snd.unsent();
        if unsent < most { free.min((most - unsent).max(self.snd.mss.into())) } else { 0 }
    }

    /// Returns true if a program that waits for room should write. Linux, include/net/tcp.h,
    /// __tcp_stream_memory_free: half of the mark, so that a program does not wake for each
    /// segment.
    #[cold]
    pub(in crate::tcp) fn has_bounded_room(&self, settings: &Settings) -> bool {
        let size = self.send_buffer(settings);
        let held = self.snd.unsent().saturating_sub(self.leaving());
        size.saturating_sub(self.outgoing.len()) >= size / 4
            && held.saturating_mul(2) < self.bounds().unsent
    }

    /// Reports room that a window update or the pacer has made, which matters to a mark of unsent
    /// bytes only.
    #[inline]
    pub(in crate::tcp) fn notify_bounded_writable(&mut self, settings: &Settings) {
        if self.marks.has_all(Marks::BOUNDED.with(Marks::WANTS_ROOM)) {
            self.notify_writable(settings);
        }
    }

    /// Reports data in order as readable, once there is enough of it.
    #[inline]
    pub(in crate::tcp) fn notify_readable(&mut self, env: &Env<'_>) {
        if !self.marks.has(Marks::BOUNDED) || self.is_worth_reading(env) {
            self.events.insert(Events::READABLE);
        }
    }

    /// Returns true if the program should read now. Linux, include/net/tcp.h, tcp_epollin_ready: at
    /// the mark, under memory pressure, or once the window holds at most one segment.
    #[cold]
    fn is_worth_reading(&self, env: &Env<'_>) -> bool {
        let mss = env.settings.mss[usize::from(self.marks.has(Marks::IPV6))];
        self.incoming.len() >= self.bounds().readable
            || self.rcv.wnd() <= u32::from(mss) && self.edge_step(env) == 0
    }

    /// Reports data below the mark that no more data follows, or that there is no memory for more.
    #[inline]
    pub(in crate::tcp) fn notify_rest_readable(&mut self) {
        if self.marks.has(Marks::BOUNDED) && !self.incoming.is_empty() {
            self.events.insert(Events::READABLE);
        }
    }
}
