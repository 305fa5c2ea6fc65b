//! Active opens with data in the SYN (RFC 7413 §4.2.2), and what they reveal about the server.

use core::net::SocketAddr;

use crate::metrics::Event;
use crate::shard::app::service::{CloseReason, ConnectOptions};
use crate::shard::engine::Engine;
use crate::shard::fast_open::config::Early;
use crate::shard::fast_open::peers::AttemptResult;
use crate::shard::flow::id::ConnId;
use crate::tcp::Attempt;

impl Engine {
    /// Returns how the SYN from local address number `local` to a server uses Fast Open; `None` if
    /// it does not.
    pub(in crate::shard) fn fast_open_attempt(
        &mut self,
        local: u8,
        remote: SocketAddr,
        without_cookie: bool,
    ) -> Option<Attempt> {
        let peers = &self.tcp.fast_open.peers;
        let attempt =
            peers.attempt(self.turn.now, local, remote, without_cookie, &self.tcp.settings)?;
        // A known path MTU bounds the SYN as it bounds every segment.
        let path = self.ip.path_mtus.of(self.turn.now, remote.ip());
        let headers = if remote.is_ipv6() { 60 } else { 40 };
        Some(match (attempt, path) {
            (Attempt::Send { cookie, mss }, Some(mtu)) => {
                Attempt::Send { cookie, mss: mss.min(mtu.saturating_sub(headers)) }
            }
            (attempt, _) => attempt,
        })
    }

    /// Implements [`Io::early_room`](crate::shard::Io::early_room).
    pub(in crate::shard) fn syn_room(
        &mut self,
        open: &ConnectOptions,
        early: &Early<'_>,
    ) -> Option<usize> {
        let ipv6 = open.remote.is_ipv6();
        let local = match open.local {
            Some(address) => self.ip.locals.find(address)?,
            None => self.ip.locals.rotate(ipv6, self.tcp.opens.wrapping_add(1))?,
        };
        let attempt = self.fast_open_attempt(local, open.remote, early.without_cookie)?;
        match attempt {
            Attempt::Ask(_) => None,
            Attempt::Send { .. } => {
                Some(attempt.room(self.tcp.settings.mss[usize::from(ipv6)]) as usize)
            }
        }
    }

    /// Remembers what the finished handshake of an active open revealed about the server. A
    /// connection that did not use Fast Open costs one test.
    #[inline]
    pub(in crate::shard) fn learn_from_open(&mut self, conn: ConnId, reason: Option<CloseReason>) {
        let Some(flow) = self.tcp.tables.flows.get_mut(conn) else { return };
        let Some(outcome) = flow.connection.take_fast_open_outcome() else { return };
        let (local, remote) = (flow.local, flow.remote.socket());
        let end = match reason {
            None => AttemptResult::Connected,
            Some(CloseReason::TimedOut | CloseReason::Unreachable) if outcome.mss.is_none() => {
                AttemptResult::Unreachable
            }
            Some(_) => AttemptResult::Other,
        };
        match (outcome.sent, outcome.acked) {
            (true, true) => self.turn.counters.count(Event::FastOpenTaken),
            (true, false) => self.turn.counters.count(Event::FastOpenRefused),
            (false, _) => {}
        }
        let pause = self.tcp.settings.fast_open_pause;
        self.tcp.fast_open.peers.learn(self.turn.now, (local, remote), &outcome, end, pause);
    }
}
