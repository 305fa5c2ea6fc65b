//! `struct tcp_info` as Linux lays it out.

use super::socket::{Socket, State};
use super::world::World;
use crate::tcp::{Info, WindowShift};
use crate::time::Duration;

/// `TCPI_OPT_…`.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;

/// The kernel's numbers of the states.
mod state {
    pub(super) const ESTABLISHED: u8 = 1;
    pub(super) const SYN_SENT: u8 = 2;
    pub(super) const CLOSE: u8 = 7;
    pub(super) const LISTEN: u8 = 10;

    /// By the RFC's name.
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

/// Fields one after the other, in the host's byte order.
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

/// How the socket is doing, in `room` bytes; what is not known is zero.
pub(super) fn encode(world: &World, socket: &Socket, room: usize) -> Vec<u8> {
    let mut layout = Layout(Vec::with_capacity(room));
    let info = world.inspect(socket);
    let number = match socket.state {
        State::Listening { .. } => state::LISTEN,
        _ => info.map_or(state::CLOSE, |info| state::of(info.phase.name())),
    };
    match info {
        Some(info) => fill(&mut layout, number, &info, world, socket),
        None => layout.bytes([number]),
    }
    let mut bytes = layout.0;
    bytes.resize(room, 0);
    bytes
}

fn fill(layout: &mut Layout, number: u8, info: &Info, world: &World, socket: &Socket) {
    let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    let mss = u32::from(info.mss.max(1));
    let segments = |bytes: u32| bytes.div_ceil(mss);
    let options = (if info.timestamps { OPT_TIMESTAMPS } else { 0 })
        | (if info.sack { OPT_SACK } else { 0 })
        | (if info.shifts != (WindowShift::ZERO, WindowShift::ZERO) { OPT_WSCALE } else { 0 });
    let (ours, theirs) = (info.shifts.0.get(), info.shifts.1.get());
    let since = |at| world.now().since(at).as_millis() as u32;
    layout.bytes([number, 0, 0, 0, 0, options, theirs | ours << 4, 0]);
    // rto, ato, snd_mss, rcv_mss
    layout.words([micros(info.rto), 0, mss, mss]);
    // unacked, sacked, lost, retrans, fackets
    layout.words([segments(info.in_flight), 0, 0, 0, 0]);
    // last_data_sent, last_ack_sent, last_data_recv, last_ack_recv
    layout.words([0, 0, since(socket.heard_at), 0]);
    let ssthresh = if info.ssthresh == u32::MAX { i32::MAX as u32 } else { info.ssthresh / mss };
    // pmtu, rcv_ssthresh, rtt, rttvar
    layout.words([1500, info.rcv_wnd, micros(info.srtt), micros(info.rttvar)]);
    // snd_ssthresh, snd_cwnd, advmss, reordering
    layout.words([ssthresh, info.cwnd / mss, mss, 3]);
    // rcv_rtt, rcv_space, total_retrans
    layout.words([0, 0, info.retransmissions]);
    // pacing_rate, max_pacing_rate, bytes_acked, bytes_received
    let acked = info.snd_una.distance_from(info.iss).saturating_sub(1);
    let received = info.rcv_nxt.distance_from(info.irs).saturating_sub(1);
    layout.longs([u64::MAX, u64::MAX, u64::from(acked), u64::from(received)]);
    // segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out
    let unsent = info.send_queued.saturating_sub(info.in_flight);
    layout.words([0, 0, unsent, micros(info.srtt), 0, 0]);
    // delivery_rate, busy_time, rwnd_limited, sndbuf_limited
    layout.longs([0, 0, 0, 0]);
    // delivered, delivered_ce
    layout.words([0, 0]);
    // bytes_sent, bytes_retrans
    layout.longs([0, 0]);
    // dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash
    layout.words([0, 0, 0, info.snd_wnd, info.rcv_wnd, 0]);
}
