//! `struct tcp_info` in Linux's layout.

use super::limit_times::{Limit, LimitTimes};
use super::socket::{Socket, State};
use super::world::World;
use linerate::shard::SynData;
use linerate::tcp::{Info, Loss, Phase, WindowShift};
use linerate::time::Duration;

/// `TCPI_OPT_…`.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
const OPT_SYN_DATA: u8 = 32;

/// Linux's numbers of the TCP states.
mod state {
    pub(super) const ESTABLISHED: u8 = 1;
    pub(super) const SYN_SENT: u8 = 2;
    pub(super) const CLOSE: u8 = 7;
    pub(super) const LISTEN: u8 = 10;

    /// Returns the number of the state with the given RFC name.
    pub(super) fn of(name: &str) -> u8 {
        match name {
            "SYN-SENT" => SYN_SENT,
            "SYN-RECEIVED" => 3,
            "FIN-WAIT-1" => 4,
            "FIN-WAIT-2" => 5,
            "TIME-WAIT" => 6,
            "CLOSE-WAIT" => 8,
            "LAST-ACK" => 9,
            "CLOSING" => 11,
            "ESTABLISHED" => ESTABLISHED,
            _ => CLOSE,
        }
    }
}

impl World {
    /// Returns the current limit of a connection.
    pub(super) fn limit_of(&self, socket: &Socket) -> Limit {
        let Some(info) = self.inspect(socket) else { return Limit::Idle };
        let outstanding = info.snd_nxt.distance_from(info.snd_una);
        let unsent = info.send_queued.saturating_sub(outstanding);
        let segment = unsent.min(u32::from(info.mss));
        if info.send_queued == 0 {
            Limit::Idle
        } else if unsent == 0 {
            if socket.writer_waits { Limit::Buffer } else { Limit::Path }
        } else if info.in_flight + segment <= info.cwnd && outstanding + segment > info.snd_wnd {
            Limit::Window
        } else {
            Limit::Path
        }
    }
}

/// Returns Linux's number of a recovery state (`tcp_ca_state`).
const fn stage_of(loss: Loss) -> u8 {
    match loss {
        Loss::None => 0,
        Loss::Disorder => 1,
        Loss::Marked => 2,
        Loss::Recovery => 3,
        Loss::TimedOut => 4,
    }
}

/// A sequence of fields in host byte order.
struct Layout(Vec<u8>);

impl Layout {
    fn bytes<const N: usize>(&mut self, fields: [u8; N]) {
        self.0.extend_from_slice(&fields);
    }

    fn words<const N: usize>(&mut self, fields: [u32; N]) {
        fields.iter().for_each(|field| self.0.extend_from_slice(&field.to_ne_bytes()));
    }

    fn longs<const N: usize>(&mut self, fields: [u64; N]) {
        fields.iter().for_each(|field| self.0.extend_from_slice(&field.to_ne_bytes()));
    }
}

/// Encodes the `tcp_info` of a socket in `room` bytes; unknown fields are zero.
pub(super) fn encode(world: &World, socket: &Socket, room: usize) -> Vec<u8> {
    let mut layout = Layout(Vec::with_capacity(room));
    let info = world.inspect(socket);
    let number = match socket.state {
        State::Listening { .. } => state::LISTEN,
        _ => info.map_or(state::CLOSE, |info| state::of(info.phase.name())),
    };
    match info {
        Some(info) => fill(&mut layout, number, &info, world, socket),
        None => layout.bytes([number, 0, 0, 0, 0, syn_data(socket.syn_data), 0, 0]),
    }
    let mut bytes = layout.0;
    bytes.resize(room, 0);
    bytes
}

const fn syn_data(what: SynData) -> u8 {
    match what {
        SynData::Acknowledged | SynData::Received => OPT_SYN_DATA,
        SynData::None | SynData::Sent => 0,
    }
}

/// Returns the number of delivered segments; the SYN with its data counts as one.
fn delivered(info: &Info, socket: &Socket) -> u32 {
    if info.phase == Phase::SynReceived {
        return 0;
    }
    let taken = info.syn_data == SynData::Acknowledged;
    let early = if taken { u64::from(socket.early) } else { 0 };
    let later = info.bytes_acked.saturating_sub(early).div_ceil(u64::from(info.mss.max(1)));
    u32::from(info.snd_una != info.iss) + later as u32
}

fn fill(layout: &mut Layout, number: u8, info: &Info, world: &World, socket: &Socket) {
    let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    let mss = u32::from(info.mss.max(1));
    let options = (if info.timestamps { OPT_TIMESTAMPS } else { 0 })
        | (if info.sack { OPT_SACK } else { 0 })
        | syn_data(info.syn_data)
        | (if info.shifts != (WindowShift::ZERO, WindowShift::ZERO) { OPT_WSCALE } else { 0 });
    let (ours, theirs) = (info.shifts.0.get(), info.shifts.1.get());
    let since = |at| world.now().since(at).as_millis() as u32;
    // Timeouts count as window probes or as retransmissions.
    let probes = info.snd_wnd == 0 && info.send_queued > 0;
    let (retransmits, probed) = if probes { (0, info.timeouts) } else { (info.timeouts, 0) };
    let stage = stage_of(info.loss);
    layout.bytes([
        number,
        stage,
        retransmits,
        probed,
        info.timeouts,
        options,
        theirs | ours << 4,
        0,
    ]);
    // rto, ato, snd_mss, rcv_mss
    layout.words([micros(info.rto), 0, mss, mss]);
    // unacked, sacked, lost, retrans, fackets
    let [unacked, selected, lost, again] = info.segments;
    layout.words([unacked, selected, lost, again, 0]);
    // last_data_sent, last_ack_sent, last_data_recv, last_ack_recv
    layout.words([0, 0, since(socket.last_data_at), 0]);
    let ssthresh = if info.ssthresh == u32::MAX { i32::MAX as u32 } else { info.ssthresh / mss };
    // pmtu, rcv_ssthresh, rtt, rttvar
    layout.words([1500, info.rcv_wnd, micros(info.srtt), micros(info.rttvar)]);
    // snd_ssthresh, snd_cwnd, advmss, reordering
    layout.words([ssthresh, info.cwnd / mss, mss, u32::from(info.reordering)]);
    // rcv_rtt, rcv_space, total_retrans
    layout.words([0, 0, info.retransmissions]);
    // pacing_rate, max_pacing_rate, bytes_acked, bytes_received
    let acked = info.snd_una.distance_from(info.iss).saturating_sub(1);
    let received = info.rcv_nxt.distance_from(info.irs).saturating_sub(1);
    layout.longs([u64::MAX, u64::MAX, u64::from(acked), u64::from(received)]);
    // segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out
    let outstanding = info.snd_nxt.distance_from(info.snd_una);
    let unsent = info.send_queued.saturating_sub(outstanding);
    layout.words([0, 0, unsent, micros(info.rtt_min), 0, 0]);
    // delivery_rate, busy_time, rwnd_limited, sndbuf_limited
    let long = |span: Duration| span.as_micros();
    let LimitTimes { busy, window, buffer } = socket.limit_times;
    layout.longs([0, long(busy), long(window), long(buffer)]);
    // delivered, delivered_ce
    layout.words([delivered(info, socket), 0]);
    // bytes_sent, bytes_retrans
    layout.longs([0, 0]);
    // dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash
    layout.words([0, u32::from(info.reorderings), 0, info.snd_wnd, info.rcv_wnd, 0]);
}
