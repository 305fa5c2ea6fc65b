//! Statistics of the kernel: TCP_INFO of a socket, RetransSegs of the network namespace.

use std::net::SocketAddr;

use linerate::shard::{ConnInfo, Loss, Repairs, SynData};
use linerate::tcp::Phase;
use linerate::tcp::congestion::Algorithm;
use mio::net::TcpStream;
use nix::sys::socket::getsockopt;

// The macros refer to each other and to `libc` without a path.
use nix::{getsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// TCP_INFO.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// Maps the kernel's state numbers (include/net/tcp_states.h). 10 is LISTEN, which no stream is in;
/// 12 is TCP_NEW_SYN_RECV.
fn phase(number: u8) -> Phase {
    match number {
        1 => Phase::Established,
        2 => Phase::SynSent,
        3 | 12 => Phase::SynReceived,
        4 => Phase::FinWait1,
        5 => Phase::FinWait2,
        6 => Phase::TimeWait,
        8 => Phase::CloseWait,
        9 => Phase::LastAck,
        11 => Phase::Closing,
        _ => Phase::Closed,
    }
}

/// Reads TCP_INFO into a [`ConnInfo`]. Fields that it does not contain, such as queued bytes, are
/// 0.
pub(super) fn of(stream: &TcpStream) -> Option<ConnInfo> {
    let info = getsockopt(stream, TcpInfo).ok()?;
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    Some(ConnInfo {
        local: stream.local_addr().unwrap_or(unspecified),
        remote: stream.peer_addr().unwrap_or(unspecified),
        state: phase(info.tcpi_state).name(),
        cwnd: info.tcpi_snd_cwnd.saturating_mul(info.tcpi_snd_mss),
        congestion: congestion(stream),
        ssthresh: info.tcpi_snd_ssthresh.saturating_mul(info.tcpi_snd_mss),
        srtt_ns: u64::from(info.tcpi_rtt) * 1000,
        rttvar_ns: u64::from(info.tcpi_rttvar) * 1000,
        rtt_min_ns: 0,
        rto_ns: u64::from(info.tcpi_rto) * 1000,
        retransmissions: info.tcpi_total_retrans,
        timeouts: u32::from(info.tcpi_retransmits),
        mss: info.tcpi_snd_mss,
        send_window: 0,
        receive_window: info.tcpi_rcv_space,
        send_buffer: 0,
        receive_buffer: info.tcpi_rcv_space,
        receive_space: info.tcpi_rcv_space,
        bytes_acked: 0,
        bytes_received: 0,
        repairs: repairs(&info),
        delivery_rate: None,
        pacing_rate: None,
        in_flight: info.tcpi_unacked.saturating_mul(info.tcpi_snd_mss),
        send_queued: 0,
        receive_queued: 0,
        syn_data: syn_data(info.tcpi_options),
    })
}

/// Reads `TCPI_OPT_SYN_DATA`: data in a SYN was acknowledged, in either direction.
const fn syn_data(options: u8) -> SynData {
    if options & 32 != 0 { SynData::Acknowledged } else { SynData::None }
}

/// Maps the kernel's congestion avoidance states (`tcp_ca_state`, include/uapi/linux/tcp.h).
fn repairs(info: &libc::tcp_info) -> Repairs {
    let bytes = |segments: u32| segments.saturating_mul(info.tcpi_snd_mss);
    let stage = match info.tcpi_ca_state {
        1 => Loss::Disorder,
        2 => Loss::Marked,
        3 => Loss::Recovery,
        4 => Loss::TimedOut,
        _ => Loss::None,
    };
    let (waiting, selected) = (bytes(info.tcpi_lost), bytes(info.tcpi_sacked));
    Repairs { stage, waiting, selected, ..Repairs::default() }
}

/// Returns the socket's congestion control, if this stack implements it too.
fn congestion(stream: &TcpStream) -> Option<Algorithm> {
    let name = socket2::SockRef::from(stream).tcp_congestion().ok()?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    match name {
        b"reno" => Some(Algorithm::NewReno),
        _ => Algorithm::ALL.into_iter().find(|ours| ours.name().as_bytes() == name),
    }
}

/// Returns the number of segments that the kernel has retransmitted in this network namespace.
pub(super) fn retransmissions_of_namespace() -> u64 {
    let snmp = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
    retransmissions_in(&snmp).unwrap_or(0)
}

/// Returns the value of `RetransSegs` from the two `Tcp:` lines: names, then values.
fn retransmissions_in(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|name| name == "RetransSegs")?;
    values.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmissions_are_read_from_their_column() {
        let snmp = "Ip: A B\nIp: 1 2\nTcp: RtoMin RetransSegs InErrs\nTcp: 200 17 0\n";
        assert_eq!(retransmissions_in(snmp), Some(17));
        assert_eq!(retransmissions_in("Tcp: A\n"), None);
    }

    #[test]
    fn an_established_socket_is_reported_as_established() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is up");
        let address = listener.local_addr().expect("it is bound");
        let stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.set_nonblocking(true).expect("a socket can be non-blocking");
        let info = of(&TcpStream::from_std(stream)).expect("the socket is open");
        assert_eq!((info.state, info.remote), ("ESTABLISHED", address));
        assert!(info.cwnd > 0 && info.rto_ns > 0);
    }
}
