//! What packetdrill was told that the stack must know as well: our addresses, the MTU of the link.
//!
//! packetdrill hands over only `--so_flags`. The rest stands in its own command line and in the first lines of
//! the script, from where it takes them itself; so does this.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Our address in a script that connects before it binds, when no flag names one.
const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 2);

/// The MTU of Ethernet, as packetdrill's own device has it by default.
const MTU: u16 = 1500;

/// What the stack must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// Our address of IPv4.
    pub(super) local_v4: Ipv4Addr,
    /// Our address of IPv6.
    pub(super) local_v6: Ipv6Addr,
    /// Bytes of a packet at most.
    pub(super) mtu: u16,
    /// Whether the host's `sysctl`s are read.
    pub(super) sysctls: bool,
    /// Whether bursts of segments end with PSH.
    pub(super) bursts: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { local_v4: LOCAL_V4, local_v6: LOCAL_V6, mtu: MTU, sysctls: true, bursts: true }
    }
}

impl Flags {
    /// By packetdrill's command line, by its script, and by `so_flags`, which comes last and so decides.
    pub(super) fn of_program(so_flags: &str) -> Self {
        let mut flags = Self::default();
        if Path::new("/proc/self/exe").read_link().is_ok_and(|exe| exe.ends_with("packetdrill")) {
            let line: Vec<OsString> = std::env::args_os().collect();
            line.iter().filter_map(|word| word.to_str()).for_each(|word| flags.take(word));
            // Bounded by what a script is: options stand at its beginning.
            if let Some(script) = line.last().and_then(|path| fs::read_to_string(path).ok()) {
                flags.take_script(&script);
            }
        }
        so_flags.split([',', ' ']).for_each(|word| flags.take(word));
        flags
    }

    /// Lines before the first event or command of a script.
    fn take_script(&mut self, script: &str) {
        let lines = script.lines().map(str::trim);
        let options = lines
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .take_while(|line| line.starts_with("--"));
        options.flat_map(str::split_whitespace).for_each(|word| self.take(word));
    }

    /// `sysctls=off`, `bursts=off`, `local_ip=ADDRESS`, `mtu=BYTES`. What is not known is left to others.
    fn take(&mut self, word: &str) {
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

    /// The largest segment for IPv4 and IPv6, without options (RFC 9293 §3.7.1).
    pub(super) fn mss(&self) -> [u16; 2] {
        [40, 60].map(|headers| self.mtu.saturating_sub(headers).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_begins_with_counts_and_what_follows_does_not() {
        let mut flags = Flags::default();
        flags.take_script(
            "// A script\n\n--mtu=1400 --local_ip=fd::1\n0 socket(...) = 3\n--mtu=600\n",
        );
        let local_v6 = "fd::1".parse().expect("an address");
        assert_eq!(flags, Flags { mtu: 1400, local_v6, ..Flags::default() });
        assert_eq!(flags.mss(), [1360, 1340]);
    }

    #[test]
    fn words_that_are_not_known_change_nothing() {
        let mut flags = Flags::default();
        for word in ["--verbose", "mtu=many", "local_ip=nowhere", "=", "script.pkt"] {
            flags.take(word);
        }
        assert_eq!(flags, Flags::default());
    }
}
