//! The host that a script expects: Linux's TCP defaults, and the `sysctl`s that the stack
//! implements, read when needed because the script's commands change them.

use std::fs;
use std::path::{Path, PathBuf};

use super::flags::Flags;

use linerate::tcp::congestion::{Algorithm, SlowStartExit};
use linerate::tcp::{EcnPolicy, Settings};
use linerate::time::Duration;

/// Directory of the `sysctl` files.
const SYSCTLS: &str = "/proc/sys/net/ipv4";

/// Maximum receive and send buffer in bytes, without `sysctl`s.
const BUFFER_MAX: u32 = 6 << 20;

/// Initial receive buffer in bytes, without `sysctl`s; half of it is Linux's own overhead.
const BUFFER_FIRST: u32 = 128 << 10;

/// Source of the host's settings.
#[derive(Debug)]
pub(super) struct Host {
    folder: Option<PathBuf>,
    /// Maximum segment size for IPv4 and IPv6.
    mss: [u16; 2],
    /// True if bursts of segments end with PSH.
    bursts: bool,
    /// Congestion control before the script ran: the machine's default, not a choice of the script.
    congestion_before: Option<String>,
}

impl Host {
    /// Creates a host that reads `sysctl`s, or one with Linux's defaults.
    pub(super) fn new(flags: &Flags) -> Self {
        let folder = flags.sysctls.then(|| PathBuf::from(SYSCTLS));
        let mut host =
            Self { folder, mss: flags.mss(), bursts: flags.bursts, congestion_before: None };
        host.congestion_before = host.text("tcp_congestion_control");
        host
    }

    /// Returns the host's current TCP settings.
    pub(super) fn settings(&self) -> Settings {
        let on = |name: &str, default: bool| self.number(name).map_or(default, |value| value != 0);
        let seconds =
            |name: &str, default: u64| Duration::from_secs(self.number(name).unwrap_or(default));
        let receive_buffer = self.nth("tcp_rmem", 2).unwrap_or(BUFFER_MAX);
        let retries = |name: &str, default: u8| {
            self.number(name).map_or(default, |value| u8::try_from(value).unwrap_or(u8::MAX))
        };
        Settings {
            mss: self.mss,
            receive_buffer,
            receive_buffer_initial: self.nth("tcp_rmem", 1).unwrap_or(BUFFER_FIRST) / 2,
            // A window starts at 64 KiB regardless of the buffer.
            window_opening: Some(64 << 10),
            send_buffer: BUFFER_MAX,
            send_buffer_initial: BUFFER_MAX,
            syn_retries: retries("tcp_syn_retries", 6),
            syn_ack_retries: retries("tcp_synack_retries", 5),
            timestamps: on("tcp_timestamps", true),
            drop_unstamped: false,
            sack: on("tcp_sack", true),
            window_scaling: on("tcp_window_scaling", true),
            congestion: self.congestion(),
            ecn: self.ecn(),
            probe_with_first: false,
            probe_without_data: true,
            tail_probes: on("tcp_early_retrans", true),
            tail_ack_delay: Some(Duration::from_millis(200)),
            idle_restart: on("tcp_slow_start_after_idle", true),
            slow_start_burst: None,
            slow_start_exit: SlowStartExit::HyStart,
            fin_wait_2: seconds("tcp_fin_timeout", 60),
            // TCP_RTO_MIN bounds the variation, not the timeout.
            rto_margin: Duration::from_millis(200),
            acknowledge_in_resets: true,
            read_after_reset: true,
            nagle_by_small: true,
            // The kernel retries at once, and uses its own MSS for an unknown server.
            fast_open_pause: Duration::ZERO,
            fast_open_mss: [u16::MAX; 2],
            push_bursts: self
                .bursts
                .then(|| self.number("tcp_min_tso_segs").map_or(2, |n| n.clamp(1, 255) as u8)),
            rto_max: Duration::from_secs(120),
            // tcp_retries2 = 15: between 13 and 30 minutes.
            give_up_after: Duration::from_millis(924_600),
            ..Settings::default()
        }
    }

    /// Returns the ECN policy of `tcp_ecn`. Values from 3 on select AccECN feedback (RFC 9768).
    fn ecn(&self) -> EcnPolicy {
        match self.number("tcp_ecn") {
            Some(0) => EcnPolicy::Off,
            Some(1 | 4) => EcnPolicy::On,
            Some(3) => EcnPolicy::Accurate,
            _ => EcnPolicy::Passive,
        }
    }

    fn congestion(&self) -> Algorithm {
        let now = self.text("tcp_congestion_control");
        if now == self.congestion_before && now.as_deref() == Some("bbr") {
            return Algorithm::Cubic;
        }
        now.as_deref().and_then(algorithm).unwrap_or(Algorithm::Cubic)
    }

    /// Returns the text of a `sysctl`.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let path: &Path = self.folder.as_ref()?;
        fs::read_to_string(path.join(name)).ok().map(|text| text.trim().to_owned())
    }

    /// Returns the number in a `sysctl`, decimal or hexadecimal.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }

    /// Returns the `n`-th number of a `sysctl`, from 0: minimum, default and maximum.
    fn nth(&self, name: &str, n: usize) -> Option<u32> {
        self.text(name)?.split_whitespace().nth(n)?.parse().ok()
    }
}

/// Congestion controls by their kernel names.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("cubic", Algorithm::Cubic),
    ("reno", Algorithm::NewReno),
    ("bbr", Algorithm::Bbr),
    ("dctcp", Algorithm::Dctcp),
];

/// Returns the congestion control with the given kernel name.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// Returns the kernel name of a congestion control.
pub(super) fn name_of(wanted: Algorithm) -> &'static str {
    ALGORITHMS.iter().find(|(_, known)| *known == wanted).map_or("", |(name, _)| name)
}
