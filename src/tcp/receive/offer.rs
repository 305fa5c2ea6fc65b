//! The window that the peer is told of (RFC 9293 §3.8.6).
//!
//! Owns when the right edge moves, and how far: never to the left (§3.8.6, SHLD-14), and when memory is short
//! not at all, so that the window closes as data arrives. How large RCV.BUFF may be is said by `memory`.

use crate::tcp::state::Marks;
use crate::tcp::{Connection, Env, SeqNum, Settings};

impl Connection {
    /// RCV.BUFF: what is promised, or for want of a promise what the pool has left for each.
    #[inline]
    fn rcv_buff(&self, env: &Env<'_>) -> u32 {
        let most = self.receive_buffer(env.settings);
        if self.rcv.promise.is_held() { most } else { most.min(env.pool.accounts.credit()) }
    }

    /// What the receive buffer may hold, memory permitting.
    #[inline]
    pub(in crate::tcp) fn receive_buffer(&self, settings: &Settings) -> u32 {
        self.rcv.promise.bytes().min(settings.receive_buffer)
    }

    /// The edge that the free part of the buffer would let us offer.
    fn free_edge(&self, buff: u32) -> SeqNum {
        let free = buff.saturating_sub(self.incoming.len());
        self.rcv.nxt + self.rcv.shift.scale(self.rcv.shift.field(free))
    }

    /// By how much the offered edge may move, or 0 while that is too little to tell.
    ///
    /// RFC 9293 §3.8.6.2.2, silly window avoidance of the receiver:
    ///   > the recommended solution is to keep RCV.NXT+RCV.WND fixed until the reduction satisfies
    ///   > RCV.BUFF - RCV.USER - RCV.WND >= min(Fr * RCV.BUFF, Eff.snd.MSS), Fr = 1/2
    fn edge_step(&self, env: &Env<'_>) -> u32 {
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

    /// The most that is offered, where that is not the buffer.
    fn window_limit(&self, settings: &Settings) -> Option<u32> {
        let chosen = self.choices.as_ref().and_then(|choices| choices.window_max);
        let opening = settings.window_opening.map(|first| {
            let read =
                self.rcv.bytes_received(self.phase).saturating_sub(self.incoming.len().into());
            u32::try_from(read).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(first)
        });
        chosen.into_iter().chain(opening).min()
    }

    /// The step of the edge within a limit, which takes the place of RCV.BUFF.
    fn limited_step(&self, buff: u32, limit: u32) -> u32 {
        // Less than a unit of the window could not be told.
        let limit = limit.max(1 << self.rcv.shift.get());
        let free = self.free_edge(buff.min(limit.saturating_add(self.incoming.len())));
        if !free.after(self.rcv.edge) {
            return 0;
        }
        let step = free.distance_from(self.rcv.edge);
        let least = (limit / 2).min(u32::from(self.snd.mss));
        if step >= least { step } else { 0 }
    }

    /// Whether the peer should hear of the room that there is now, without waiting for its next segment:
    /// when the window has at least doubled. A peer with half of it left is not held up.
    fn window_update_is_due(&self, env: &Env<'_>) -> bool {
        let step = self.edge_step(env);
        step > 0 && step >= self.rcv.wnd()
    }

    /// SEG.WND for a segment sent now: the edge moves when it may.
    #[inline]
    pub(in crate::tcp) fn offer_window(&mut self, env: &mut Env<'_>) -> u16 {
        self.rcv.edge += self.edge_step(env);
        let wnd = self.rcv.wnd();
        if wnd == 0 {
            self.note_closed(env);
        }
        self.rcv.shift.field(wnd)
    }

    /// The program has read.
    pub(in crate::tcp) fn note_room(&mut self, env: &mut Env<'_>) {
        if !self.phase.may_receive() {
            return;
        }
        if self.window_update_is_due(env) {
            self.marks.insert(Marks::ACK);
        } else if self.rcv.wnd() == 0 {
            self.note_closed(env);
        }
    }

    /// The window is closed: if for want of memory, the shard has to think of it when there is some.
    fn note_closed(&self, env: &mut Env<'_>) {
        if self.rcv_buff(env) == 0 {
            env.pool.accounts.note_closed();
        }
    }

    /// There is memory again: a window that was closed for want of it opens, and the peer must hear of that,
    /// since it sends nothing that would be answered but probes.
    pub fn on_memory(&mut self, env: &mut Env<'_>) {
        if self.rcv.wnd() == 0 && self.phase.may_receive() && self.window_update_is_due(env) {
            self.marks.insert(Marks::ACK);
        }
    }
}
