//! Implementation of [`Io`] on the state of the shard. Every call that changes a connection
//! schedules it, so that its pending output leaves in the same turn.

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use std::io::IoSlice;

use crate::metrics::Event;
use crate::shard::app::service::{
    CloseReason, ConnInfo, ConnectError, ConnectOptions, Io, SocketOption, Status,
};
use crate::shard::engine::Engine;
use crate::shard::fast_open::config::Early;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::id::{ConnId, ListenerId};
use crate::shard::flow::listeners::{ListenError, ListenerConfig};
use crate::shard::flow::service_waker::ServiceWaker;
use crate::tcp::{Env, Info, Phase};
use crate::time::Instant;

/// Effect of closing both directions on the number of orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OrphanChange {
    #[default]
    None,
    Added,
    Refused,
}

impl Engine {
    /// Returns the connection of a handle; `None` if the handle is stale.
    fn live(&self, conn: ConnId) -> Option<&Flow> {
        self.tcp.tables.flows.get(conn).filter(|flow| !flow.is_close_reported())
    }

    /// Calls into a live connection and schedules it. Returns the default if the handle is stale.
    fn with<R: Default>(
        &mut self,
        conn: ConnId,
        call: impl FnOnce(&mut Flow, &mut Env<'_>) -> R,
    ) -> R {
        let Some(flow) =
            self.tcp.tables.flows.get_mut(conn).filter(|flow| !flow.is_close_reported())
        else {
            return R::default();
        };
        let result = call(flow, &mut conn_env!(self.tcp, self.turn.now));
        self.tcp.schedule(conn.index);
        result
    }

    /// Closes a connection that the program no longer reads. As an orphan it lives on until the
    /// peer closes too. Beyond the limit of orphans it is reset instead: otherwise peers that never
    /// close could fill the slab.
    fn orphan(&mut self, conn: ConnId, close: impl FnOnce(&mut Flow, &mut Env<'_>)) {
        let full = self.tcp.orphans >= self.tcp.orphans_max;
        let change = self.with(conn, |flow, env| {
            let before = flow.connection.is_orphan();
            if full && !before {
                flow.connection.abort(env);
                return OrphanChange::Refused;
            }
            close(flow, env);
            if !before && flow.connection.is_orphan() {
                OrphanChange::Added
            } else {
                OrphanChange::None
            }
        });
        match change {
            OrphanChange::Added => self.tcp.orphans += 1,
            OrphanChange::Refused => self.turn.counters.count(Event::OrphanRefused),
            OrphanChange::None => {}
        }
    }
}

impl Io for Engine {
    fn now(&self) -> Instant {
        self.turn.now
    }

    fn connect(&mut self, open: &ConnectOptions) -> Result<ConnId, ConnectError> {
        self.open(open)
    }

    fn connect_with(
        &mut self,
        open: &ConnectOptions,
        early: &Early<'_>,
    ) -> Result<(ConnId, usize), ConnectError> {
        let conn = self.open_with(open, Some(early))?;
        Ok((conn, self.write(conn, early.data)))
    }

    fn early_room(&mut self, open: &ConnectOptions, early: &Early<'_>) -> Option<usize> {
        self.syn_room(open, early)
    }

    fn read(&mut self, conn: ConnId, buffer: &mut [u8]) -> usize {
        self.with(conn, |flow, env| flow.connection.read(env, buffer))
    }

    fn read_into(&mut self, conn: ConnId, buffer: &mut [MaybeUninit<u8>]) -> usize {
        self.with(conn, |flow, env| flow.connection.read_into(env, buffer))
    }

    fn peek(&self, conn: ConnId) -> [&[u8]; 2] {
        self.live(conn).map_or([&[], &[]], |flow| flow.connection.peek())
    }

    fn can_peek(&self) -> bool {
        true
    }

    fn consume(&mut self, conn: ConnId, n: usize) {
        self.with(conn, |flow, env| flow.connection.consume(env, n));
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.with(conn, |flow, env| flow.connection.write(env, bytes))
    }

    fn write_slices(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> usize {
        self.with(conn, |flow, env| {
            let mut accepted = 0;
            for slice in slices.iter().filter(|slice| !slice.is_empty()) {
                let n = flow.connection.write(env, slice);
                accepted += n;
                if n < slice.len() {
                    break;
                }
            }
            accepted
        })
    }

    fn write_urgent(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.with(conn, |flow, env| flow.connection.write_urgent(env, bytes))
    }

    fn urgent(&self, conn: ConnId) -> usize {
        self.live(conn).map_or(0, |flow| flow.connection.urgent() as usize)
    }

    fn write_room(&self, conn: ConnId) -> usize {
        self.live(conn).map_or(0, |flow| flow.connection.write_room(&self.tcp.settings))
    }

    fn readable(&self, conn: ConnId) -> usize {
        self.live(conn).map_or(0, |flow| flow.connection.readable())
    }

    fn close(&mut self, conn: ConnId) {
        self.with(conn, |flow, env| flow.connection.close(env));
    }

    fn close_both(&mut self, conn: ConnId) {
        self.orphan(conn, |flow, env| flow.connection.close_both(env));
    }

    fn close_by(&mut self, conn: ConnId, deadline: Instant) {
        self.orphan(conn, |flow, env| flow.connection.close_by(env, deadline));
    }

    fn abort(&mut self, conn: ConnId) {
        self.with(conn, |flow, env| flow.connection.abort(env));
    }

    fn set_option(&mut self, conn: ConnId, option: SocketOption) {
        self.with(conn, |flow, env| match option {
            SocketOption::Nagle(on) => flow.connection.set_nagle(env, on),
            SocketOption::KeepAlive(on) => {
                let times = on.then(|| env.settings.keep_alive.unwrap_or_default());
                flow.connection.set_keep_alive(env, times);
            }
            SocketOption::KeepAliveTimes(times) => flow.connection.set_keep_alive(env, Some(times)),
            SocketOption::Cork(on) => flow.connection.set_cork(env, on),
            SocketOption::MoreFollows(on) => flow.connection.set_more_follows(on),
            SocketOption::QuickAck(on) => flow.connection.set_quick_ack(on),
            SocketOption::UserTimeout(span) => flow.connection.set_user_timeout(env, span),
            SocketOption::UserTimeoutOption(on) => flow.connection.set_user_timeout_option(env, on),
            SocketOption::CongestionControl(algorithm) => {
                flow.connection.set_congestion_control(algorithm);
            }
            SocketOption::PacingRateMax(rate) => flow.connection.set_pacing_rate_max(rate),
            SocketOption::WindowMax(bytes) => flow.connection.set_window_max(env, bytes),
            SocketOption::SendBuffer(bytes) => flow.connection.set_send_buffer(env, bytes),
            SocketOption::ReceiveBuffer(bytes) => flow.connection.set_receive_buffer(env, bytes),
            SocketOption::Mss(mss) => flow.connection.set_mss_max(env, mss),
            SocketOption::HopLimit(hops) => flow.connection.set_hop_limit(hops),
            SocketOption::NotSentLowWater(bytes) => {
                flow.connection.set_unsent_low_water(env, bytes);
            }
            SocketOption::ReceiveLowWater(bytes) => {
                flow.connection.set_receive_low_water(env, bytes);
            }
            SocketOption::SynRetries(retries) => flow.connection.set_syn_retries(retries),
            SocketOption::DiffServ(code_point) => flow.set_diffserv(code_point),
            SocketOption::Ecn(policy) => flow.connection.set_ecn(policy),
        });
    }

    fn user_data(&self, conn: ConnId) -> u64 {
        self.live(conn).map_or(0, |flow| flow.user)
    }

    fn set_user_data(&mut self, conn: ConnId, user: u64) {
        if let Some(flow) = self.tcp.tables.flows.get_mut(conn) {
            flow.user = user;
        }
    }

    fn status(&self, conn: ConnId) -> Status {
        let Some(flow) = self.live(conn) else { return Status::Stale };
        let connection = &flow.connection;
        match connection.phase() {
            Phase::SynSent | Phase::SynReceived => Status::Opening,
            Phase::Closed if connection.readable() == 0 => {
                Status::Closed(connection.close_reason().unwrap_or(CloseReason::Aborted))
            }
            // What is left to read of a closed connection is the rest of the stream.
            phase => {
                Status::Open { peer_closed: phase.peer_has_closed() || phase == Phase::Closed }
            }
        }
    }

    fn endpoints(&self, conn: ConnId) -> Option<(SocketAddr, SocketAddr)> {
        self.live(conn).map(|flow| self.ends_of(flow))
    }

    fn listen(&mut self, config: &ListenerConfig) -> Result<ListenerId, ListenError> {
        let listener = self.open_listener(*config)?;
        self.service.ports.push_back((config.port, true));
        Ok(listener)
    }

    fn unlisten(&mut self, listener: ListenerId) {
        if let Some(config) = self.tcp.listeners.config(listener) {
            self.service.ports.push_back((config.port, false));
        }
        self.tcp.listeners.close(listener);
    }

    fn waker(&self) -> ServiceWaker {
        self.service.waker.clone()
    }

    fn worker(&self) -> (usize, usize) {
        (usize::from(self.workers.this), usize::from(self.workers.count))
    }

    fn report_panic(&mut self, message: &str) {
        self.turn.counters.count(Event::ProgramPanic);
        self.service.report_panic(message);
    }

    fn info(&self, conn: ConnId) -> Option<ConnInfo> {
        self.live(conn).map(|flow| self.describe(flow))
    }

    fn retransmissions(&self) -> u64 {
        self.turn.counters.counted(Event::Retransmitted)
    }

    fn set_alarm(&mut self, at: Instant) {
        self.service.alarm = Some(self.service.alarm.map_or(at, |earlier| earlier.min(at)));
    }

    fn stop(&mut self) {
        self.service.stopping = true;
    }

    fn connections(&self) -> usize {
        self.tcp.tables.flows.len() + self.tcp.tables.embryos.len()
    }
}

impl Engine {
    /// Implements [`Shard::inspect`](crate::shard::Shard::inspect).
    pub(in crate::shard) fn tcp_info(&self, conn: ConnId) -> Option<Info> {
        self.live(conn).map(|flow| flow.connection.info(&self.tcp.settings))
    }

    /// Opens a listener on a local address or all of them.
    pub(in crate::shard) fn open_listener(
        &mut self,
        config: ListenerConfig,
    ) -> Result<ListenerId, ListenError> {
        let local = match config.address {
            Some(address) => Some(self.ip.locals.number_of(address).ok_or(ListenError::NotLocal)?),
            None => None,
        };
        let listener = self.tcp.listeners.open(config, local)?;
        self.tcp.tables.embryos.expect_listener(listener.0);
        Ok(listener)
    }

    fn ends_of(&self, flow: &Flow) -> (SocketAddr, SocketAddr) {
        let local = self.ip.locals.address(flow.local);
        (SocketAddr::new(local, flow.remote.local_port()), flow.remote.socket())
    }

    /// Returns the state of a connection for the program and for reports.
    pub(in crate::shard) fn describe(&self, flow: &Flow) -> ConnInfo {
        let info = flow.connection.info(&self.tcp.settings);
        let (local, remote) = self.ends_of(flow);
        ConnInfo {
            local,
            remote,
            state: flow.connection.phase().name(),
            cwnd: info.cwnd,
            ssthresh: info.ssthresh,
            congestion: Some(info.congestion),
            srtt_ns: info.srtt.as_nanos(),
            rttvar_ns: info.rttvar.as_nanos(),
            rtt_min_ns: info.rtt_min.as_nanos(),
            rto_ns: info.rto.as_nanos(),
            retransmissions: info.retransmissions,
            timeouts: u32::from(info.timeouts),
            mss: u32::from(info.mss),
            send_window: info.snd_wnd,
            receive_window: info.rcv_wnd,
            send_buffer: info.send_buffer,
            receive_buffer: info.receive_buffer,
            receive_space: flow.connection.reading(&self.tcp.pool).0,
            bytes_acked: info.bytes_acked,
            bytes_received: info.bytes_received,
            repairs: info.repairs,
            delivery_rate: info.delivery_rate,
            pacing_rate: info.pacing_rate,
            in_flight: info.in_flight,
            send_queued: info.send_queued,
            receive_queued: info.receive_queued,
            syn_data: info.syn_data,
        }
    }
}
