//! Parameters that packetdrill shares with the stack: local addresses and the MTU.
//!
//! packetdrill passes only `--so_flags`. The other parameters are in its command line and in the
//! first lines of the script, and this module reads them from there as packetdrill does.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Local address of a script that connects before it binds, without a flag.
const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 2);

/// MTU of Ethernet, the default of packetdrill's device.
const MTU: u16 = 1500;

/// Parameters of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// Local IPv4 address.
    pub(super) local_v4: Ipv4Addr,
    /// Local IPv6 address.
    pub(super) local_v6: Ipv6Addr,
    /// MTU in bytes.
    pub(super) mtu: u16,
    /// True if the host's `sysctl`s are read.
    pub(super) sysctls: bool,
    /// True if bursts of segments end with PSH.
    pub(super) bursts: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { local_v4: LOCAL_V4, local_v6: LOCAL_V6, mtu: MTU, sysctls: true, bursts: true }
    }
}

impl Flags {
    /// Reads packetdrill's command line, then its script, then `so_flags`; later values take
    /// precedence.
    pub(super) fn from_environment(so_flags: &str) -> Self {
        let mut flags = Self::default();
        if Path::new("/proc/self/exe").read_link().is_ok_and(|exe| exe.ends_with("packetdrill")) {
            let line: Vec<OsString> = std::env::args_os().collect();
            line.iter().filter_map(|word| word.to_str()).for_each(|word| flags.apply(word));
            // The script is small, and its options are at the start.
            if let Some(script) = line.last().and_then(|path| fs::read_to_string(path).ok()) {
                flags.apply_script(&script);
            }
        }
        so_flags.split([',', ' ']).for_each(|word| flags.apply(word));
        flags
    }

    /// Applies the option lines before the first event or command of a script.
    fn apply_script(&mut self, script: &str) {
        let lines = script.lines().map(str::trim);
        let options = lines
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .take_while(|line| line.starts_with("--"));
        options.flat_map(str::split_whitespace).for_each(|word| self.apply(word));
    }

    /// Applies `sysctls=off`, `bursts=off`, `local_ip=ADDRESS` or `mtu=BYTES`. Ignores other words.
    fn apply(&mut self, word: &str) {
        match word.trim_start_matches('-').split_once('=') {
            Some(("sysctls", "off")) => self.sysctls = false,
            Some(("bursts", "off")) => self.bursts = false,
            Some(("local_ip", address)) => match address.parse() {
                Ok(IpAddr::V4(address)) => self.local_v4 = address,
                Ok(IpAddr::V6(address)) => self.local_v6 = address,
                Err(_) => {}
            },
            Some(("mtu", bytes)) => self.mtu = bytes.parse().unwrap_or(self.mtu),
            _ => {}
        }
    }

    /// Returns the maximum segment size for IPv4 and IPv6, without options (RFC 9293 §3.7.1).
    pub(super) fn mss(&self) -> [u16; 2] {
        [40, 60].map(|headers| self.mtu.saturating_sub(headers).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_at_the_start_of_a_script_count_and_later_ones_do_not() {
        let mut flags = Flags::default();
        flags.apply_script(
            "// A script\n\n--mtu=1400 --local_ip=fd::1\n0 socket(...) = 3\n--mtu=600\n",
        );
        let local_v6 = "fd::1".parse().expect("an address");
        assert_eq!(flags, Flags { mtu: 1400, local_v6, ..Flags::default() });
        assert_eq!(flags.mss(), [1360, 1340]);
    }

    #[test]
    fn unknown_words_change_nothing() {
        let mut flags = Flags::default();
        for word in ["--verbose", "mtu=many", "local_ip=nowhere", "=", "script.pkt"] {
            flags.apply(word);
        }
        assert_eq!(flags, Flags::default());
    }
}
