//! One connection as JSON.

use serde_json::{Value, json};

use crate::shard::ConnInfo;

/// Returns a connection of a worker. Times are in nanoseconds, sizes in bytes, rates in bytes per
/// second. Fields that a flow in SYN-RECEIVED or TIME-WAIT lacks are zero or null.
pub(super) fn row(worker: usize, info: &ConnInfo) -> Value {
    json!({
        "worker": worker,
        "local": info.local.to_string(),
        "remote": info.remote.to_string(),
        "state": info.state,
        "congestion_control": info.congestion.map(|it| it.name()),
        "cwnd": info.cwnd,
        "ssthresh": (info.ssthresh != u32::MAX).then_some(info.ssthresh),
        "rtt": info.srtt_ns,
        "rttvar": info.rttvar_ns,
        "rtt_min": info.rtt_min_ns,
        "rto": info.rto_ns,
        "retransmissions": info.retransmissions,
        "timeouts": info.timeouts,
        "mss": info.mss,
        "send_window": info.send_window,
        "receive_window": info.receive_window,
        "send_buffer": info.send_buffer,
        "receive_buffer": info.receive_buffer,
        "bytes_acked": info.bytes_acked,
        "bytes_received": info.bytes_received,
        "pacing_rate": info.pacing_rate,
        "in_flight": info.in_flight,
        "send_queued": info.send_queued,
        "receive_queued": info.receive_queued,
    })
}
