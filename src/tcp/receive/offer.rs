//! The window offered to the peer (RFC 9293 §3.8.6).
//!
//! Owns the movement of the right edge: never to the left (§3.8.6, SHLD-14), and not at all under
//! memory pressure, so that the window closes as data arrives. `memory` determines the size of
//! RCV.BUFF.

use crate::tcp::state::Marks;
use crate::tcp::{Connection, Env, SeqNum, Settings};

impl Connection {
    /// Returns RCV.BUFF: the promise, or without one the pool's remaining credit for each
    /// connection.
    #[inline]
    fn rcv_buff(&self, env: &Env<'_>) -> u32 {
        let most = self.receive_buffer(env.settings);
        if self.rcv.promise.is_held() { most } else { most.min(env.pool.accounts.credit()) }
    }

    /// Returns how much the receive buffer may hold, memory permitting.
    #[inline]
    pub(in crate::tcp) fn receive_buffer(&self, settings: &Settings) -> u32 {
        if self.marks.has(Marks::BOUNDED) {
            return self.rcv.promise.bytes().min(self.receive_buffer_max(settings));
        }
        self.rcv.promise.bytes().min(settings.receive_buffer)
    }

    /// Returns the right edge that the free part of the buffer would permit.
    fn free_edge(&self, buff: u32) -> SeqNum {
        let free = buff.saturating_sub(self.incoming.len());
        self.rcv.nxt + self.rcv.shift.scale(self.rcv.shift.field(free))
    }

    /// Returns how far the offered edge may move, or 0 while the step is too small to announce.
    ///
    /// RFC 9293 §3.8.6.2.2, silly window avoidance of the receiver:
    ///   > the recommended solution is to keep RCV.NXT+RCV.WND fixed until the reduction satisfies
    ///   > RCV.BUFF - RCV.USER - RCV.WND >= min(Fr * RCV.BUFF, Eff.snd.MSS), Fr = 1/2
    pub(in crate::tcp) fn edge_step(&self, env: &Env<'_>) -> u32 {
        let buff = self.rcv_buff(env);
        let free = self.free_edge(buff);
        if !free.after(self.rcv.edge) {
            return 0;
        }
        let step = free.distance_from(self.rcv.edge);
        let least = (buff / 2).min(u32::from(self.snd.mss));
        if step < least {
            return 0;
        }
        match self.window_limit(env.settings) {
            Some(limit) if limit < buff => self.limited_step(buff, limit),
            _ => step,
        }
    }

    /// Returns the maximum window, if it is not the buffer.
    fn window_limit(&self, settings: &Settings) -> Option<u32> {
        let chosen = self.choices.as_ref().and_then(|choices| choices.window_max);
        let opening = settings.window_opening.map(|first| {
            let read =
                self.rcv.bytes_received(self.phase).saturating_sub(self.incoming.len().into());
            u32::try_from(read).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(first)
        });
        chosen.into_iter().chain(opening).min()
    }

    /// Returns the step of the edge within a limit, which replaces RCV.BUFF.
    fn limited_step(&self, buff: u32, limit: u32) -> u32 {
        // A window below one unit cannot be announced.
        let limit = limit.max(1 << self.rcv.shift.get());
        let free = self.free_edge(buff.min(limit.saturating_add(self.incoming.len())));
        if !free.after(self.rcv.edge) {
            return 0;
        }
        let step = free.distance_from(self.rcv.edge);
        let least = (limit / 2).min(u32::from(self.snd.mss));
        if step >= least { step } else { 0 }
    }

    /// Returns true if the peer should get a window update without waiting for its next segment:
    /// when the window at least doubles. A peer with half of its window left is not blocked.
    fn window_update_is_due(&self, env: &Env<'_>) -> bool {
        let step = self.edge_step(env);
        step > 0 && step >= self.rcv.wnd()
    }

    /// Returns SEG.WND for a segment sent now, and moves the edge if possible.
    #[inline]
    pub(in crate::tcp) fn offer_window(&mut self, env: &mut Env<'_>) -> u16 {
        self.rcv.edge += self.edge_step(env);
        let wnd = self.rcv.wnd();
        if wnd == 0 {
            self.on_window_closed(env);
        }
        self.rcv.shift.field(wnd)
    }

    /// Updates the window after the program has read.
    pub(in crate::tcp) fn update_window_after_read(&mut self, env: &mut Env<'_>) {
        if !self.phase.may_receive() {
            return;
        }
        if self.window_update_is_due(env) {
            self.marks.insert(Marks::ACK);
        } else if self.rcv.wnd() == 0 {
            self.on_window_closed(env);
        }
    }

    /// Notifies the shard if the window is closed for lack of memory, so that it reopens the window
    /// when memory is available.
    fn on_window_closed(&self, env: &mut Env<'_>) {
        if self.rcv_buff(env) == 0 {
            env.pool.accounts.on_window_closed();
        }
    }

    /// Reopens a window that was closed for lack of memory and sends a window update: the peer
    /// sends nothing but probes meanwhile.
    pub fn on_memory(&mut self, env: &mut Env<'_>) {
        if self.rcv.wnd() == 0 && self.phase.may_receive() && self.window_update_is_due(env) {
            self.marks.insert(Marks::ACK);
        }
    }
}
