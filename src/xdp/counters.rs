//! Decisions of the program, counted by verdict.
//!
//! Owns the names of the verdicts; bpf/linerate.h defines their numbers.

use super::layout;

/// Decision of the program on a frame and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Verdict {
    /// To the stack: a TCP segment.
    Tcp = layout::VERDICT_TCP,
    /// To the stack: an IP fragment.
    Fragment = layout::VERDICT_FRAGMENT,
    /// To the stack: ICMP or ICMPv6 to an address that the stack owns exclusively.
    Icmp = layout::VERDICT_ICMP,
    /// To the stack: an ICMP error that quotes a claimed flow.
    IcmpError = layout::VERDICT_ICMP_ERROR,
    /// To the stack: a neighbour solicitation or advertisement.
    Ndp = layout::VERDICT_NDP,
    /// To the stack: ARP.
    Arp = layout::VERDICT_ARP,
    /// To the kernel: neither IP nor ARP.
    PassEthertype = layout::VERDICT_PASS_ETHERTYPE,
    /// To the kernel: the address is not claimed.
    PassAddress = layout::VERDICT_PASS_ADDRESS,
    /// To the kernel: a protocol or message that the policy leaves there.
    PassProtocol = layout::VERDICT_PASS_PROTOCOL,
    /// To the kernel: the port is not claimed.
    PassPort = layout::VERDICT_PASS_PORT,
    /// To the kernel: an IP fragment, by policy.
    PassFragment = layout::VERDICT_PASS_FRAGMENT,
    /// To the kernel: a truncated frame, or a header that no valid packet has.
    PassMalformed = layout::VERDICT_PASS_MALFORMED,
    /// To the kernel: it belongs to the stack, but its queue has no socket.
    PassNoSocket = layout::VERDICT_PASS_NO_SOCKET,
    /// To the kernel: it belongs to the stack, but the VLAN tag that the NIC stripped could not be
    /// reinserted.
    PassTag = layout::VERDICT_PASS_TAG,
}

impl Verdict {
    /// All verdicts, in the order of their numbers.
    pub const ALL: [Self; layout::VERDICTS as usize] = [
        Self::Tcp,
        Self::Fragment,
        Self::Icmp,
        Self::IcmpError,
        Self::Ndp,
        Self::Arp,
        Self::PassEthertype,
        Self::PassAddress,
        Self::PassProtocol,
        Self::PassPort,
        Self::PassFragment,
        Self::PassMalformed,
        Self::PassNoSocket,
        Self::PassTag,
    ];

    /// Returns the name used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Fragment => "fragment",
            Self::Icmp => "icmp",
            Self::IcmpError => "icmp-error",
            Self::Ndp => "ndp",
            Self::Arp => "arp",
            Self::PassEthertype => "pass-ethertype",
            Self::PassAddress => "pass-address",
            Self::PassProtocol => "pass-protocol",
            Self::PassPort => "pass-port",
            Self::PassFragment => "pass-fragment",
            Self::PassMalformed => "pass-malformed",
            Self::PassNoSocket => "pass-no-socket",
            Self::PassTag => "pass-tag",
        }
    }

    /// Returns true if the frame went to a socket of the stack.
    pub const fn redirects(self) -> bool {
        (self as u32) < layout::VERDICT_PASSES
    }
}

/// Frames by verdict, summed over all CPUs, since the program was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    frames: [u64; Verdict::ALL.len()],
}

impl Counters {
    pub(super) fn add(&mut self, verdict: Verdict, frames: u64) {
        let sum = &mut self.frames[verdict as usize];
        *sum = sum.wrapping_add(frames);
    }

    /// Returns the number of frames with this verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.frames[verdict as usize]
    }

    /// Returns every verdict with its number of frames.
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, u64)> + '_ {
        Verdict::ALL.into_iter().map(|verdict| (verdict, self.of(verdict)))
    }

    /// Returns the number of frames redirected to the stack.
    pub fn redirected(&self) -> u64 {
        self.iter().filter(|(verdict, _)| verdict.redirects()).map(|(_, frames)| frames).sum()
    }

    /// Returns the number of frames passed to the kernel.
    pub fn passed(&self) -> u64 {
        self.iter().filter(|(verdict, _)| !verdict.redirects()).map(|(_, frames)| frames).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_in_the_order_of_their_numbers() {
        for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index, "{}", verdict.name());
            assert_eq!(verdict.redirects(), !verdict.name().starts_with("pass-"));
        }
    }

    #[test]
    fn sums_distinguish_stack_and_kernel() {
        let mut counters = Counters::default();
        counters.add(Verdict::Tcp, 3);
        counters.add(Verdict::Arp, 1);
        counters.add(Verdict::PassPort, 5);
        assert_eq!((counters.redirected(), counters.passed()), (4, 5));
    }
}
