//! ECN negotiation: requests, agreements, and the reflection of each SYN's IP header, by
//! RFC 9768 §3.1, tables 2 to 4, which include RFC 3168 §6.1.1.
//!
//! Everything is a function of the three flags AE, CWR and ECE, read as one number with AE the
//! highest bit, as the tables print them.

use super::codepoint::{Codepoint, EcnMode, EcnPolicy};
use crate::tcp::Flags;

/// Position of the three flags.
const SHIFT: u32 = 6;

const NOTHING: u8 = 0b000;
const CLASSIC_AGREED: u8 = 0b001;
const CLASSIC_REQUEST: u8 = 0b011;
const RESERVED: u8 = 0b101;
const ACCURATE_REQUEST: u8 = 0b111;

/// Number of SYNs that request accurate feedback before one without a request. RFC 9768 §3.1.4.1:
/// "at least one more time", and without it from the second retransmission on, since a path may
/// drop such SYNs.
const ACCURATE_SYNS: u8 = 2;

/// Returns the three flags as a number.
#[inline]
pub(in crate::tcp) const fn field(flags: Flags) -> u8 {
    (flags.0 >> SHIFT & 7) as u8
}

/// Returns a number as the three flags.
#[inline]
pub(in crate::tcp) const fn flags(field: u8) -> Flags {
    Flags((field as u16 & 7) << SHIFT)
}

impl EcnPolicy {
    /// Returns the mode that the first SYN requests.
    pub(in crate::tcp) const fn requested_mode(self) -> EcnMode {
        match self {
            Self::Off | Self::Passive => EcnMode::None,
            Self::On => EcnMode::Classic,
            Self::Accurate => EcnMode::Accurate,
        }
    }

    /// Returns the mode that the SYN after `retransmissions` others requests. RFC 3168 §6.1.1.1:
    ///   > A host that receives no reply to an ECN-setup SYN within the normal SYN retransmission
    ///   > timeout interval MAY resend the SYN and any subsequent SYN retransmissions with CWR and
    ///   > ECE cleared.
    pub(in crate::tcp) const fn requested_mode_after(self, retransmissions: u8) -> EcnMode {
        match self.requested_mode() {
            EcnMode::Accurate if retransmissions < ACCURATE_SYNS => EcnMode::Accurate,
            EcnMode::Classic if retransmissions == 0 => EcnMode::Classic,
            _ => EcnMode::None,
        }
    }

    /// Returns the accepted mode for a SYN that requests `mode`.
    pub(in crate::tcp) const fn agrees_to(self, mode: EcnMode) -> EcnMode {
        match self {
            Self::Off => EcnMode::None,
            _ => mode,
        }
    }
}

/// Returns the flags of a SYN that requests `mode`.
pub(in crate::tcp) const fn request(mode: EcnMode) -> Flags {
    flags(match mode {
        EcnMode::None => NOTHING,
        EcnMode::Classic => CLASSIC_REQUEST,
        EcnMode::Accurate => ACCURATE_REQUEST,
    })
}

/// Returns the mode that a SYN requests. RFC 9768 §3.1.3:
///   > If a TCP Server [...] receives a SYN [...] with [...] any combination other than (0,0,0),
///   > (0,1,1) or (1,1,1) [...] the Server MUST negotiate the use of AccECN as if the three flags
///   > had been set to (1,1,1).
pub(in crate::tcp) const fn requested_by(syn: Flags) -> EcnMode {
    match field(syn) {
        NOTHING => EcnMode::None,
        CLASSIC_REQUEST => EcnMode::Classic,
        _ => EcnMode::Accurate,
    }
}

/// Returns the flags of a SYN-ACK that accepts `mode`, for a SYN that arrived as `syn`.
pub(in crate::tcp) const fn agreement(mode: EcnMode, syn: Codepoint) -> Flags {
    flags(match mode {
        EcnMode::None => NOTHING,
        EcnMode::Classic => CLASSIC_AGREED,
        EcnMode::Accurate => reflection(syn),
    })
}

/// Returns the field by which a SYN-ACK reports the SYN's codepoint (RFC 9768 table 2), and the
/// next ACK the SYN-ACK's (table 3).
pub(in crate::tcp) const fn reflection(came: Codepoint) -> u8 {
    match came {
        Codepoint::NotEct => 0b010,
        Codepoint::Ect1 => 0b011,
        Codepoint::Ect0 => 0b100,
        Codepoint::Ce => 0b110,
    }
}

/// Returns the codepoint that a reflection reports.
pub(in crate::tcp) const fn reflected(field: u8) -> Option<Codepoint> {
    match field {
        0b010 => Some(Codepoint::NotEct),
        0b011 => Some(Codepoint::Ect1),
        0b100 => Some(Codepoint::Ect0),
        0b110 => Some(Codepoint::Ce),
        _ => None,
    }
}

/// Returns the mode that a SYN-ACK accepts after a SYN that requested `requested`; in accurate mode
/// also the codepoint with which our SYN, sent as [`Codepoint::NotEct`], arrived.
pub(in crate::tcp) const fn negotiated(requested: EcnMode, syn_ack: Flags) -> (EcnMode, Codepoint) {
    let field = field(syn_ack);
    match (requested, field) {
        // RFC 3168 §6.1.1: an ECN-setup SYN-ACK has ECE set and CWR clear; the AE bit was the nonce
        // sum.
        (EcnMode::Classic, CLASSIC_AGREED | RESERVED) | (EcnMode::Accurate, CLASSIC_AGREED) => {
            (EcnMode::Classic, Codepoint::NotEct)
        }
        // RFC 9768 §3.1.3: "the Client MUST enable AccECN mode [...] as if it fed back that the
        // IP-ECN field on the SYN had arrived unchanged".
        (EcnMode::Accurate, RESERVED) => (EcnMode::Accurate, Codepoint::NotEct),
        (EcnMode::Accurate, _) => match reflected(field) {
            Some(came) => (EcnMode::Accurate, came),
            // A broken server that reflects the flags sets all three.
            None => (EcnMode::None, Codepoint::NotEct),
        },
        _ => (EcnMode::None, Codepoint::NotEct),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9768 table 2, row by row.
    #[test]
    fn every_row_of_table_2_gives_its_mode() {
        use Codepoint::{Ce, Ect0, Ect1, NotEct};
        use EcnMode::{Accurate, Classic, None};
        let rows = [
            (Accurate, 0b010, Accurate, NotEct),
            (Accurate, 0b011, Accurate, Ect1),
            (Accurate, 0b100, Accurate, Ect0),
            (Accurate, 0b110, Accurate, Ce),
            (Accurate, 0b101, Accurate, NotEct),
            (Accurate, 0b001, Classic, NotEct),
            (Accurate, 0b000, None, NotEct),
            (Accurate, 0b111, None, NotEct),
            (Classic, 0b001, Classic, NotEct),
            (Classic, 0b101, Classic, NotEct),
            (Classic, 0b000, None, NotEct),
            (Classic, 0b011, None, NotEct),
            (Classic, 0b111, None, NotEct),
            (None, 0b001, None, NotEct),
        ];
        for (requested, answer, mode, syn) in rows {
            assert_eq!(
                negotiated(requested, flags(answer)),
                (mode, syn),
                "{requested:?} {answer:03b}"
            );
        }
    }

    /// RFC 9768 table 2 and §3.1.3, the server's side.
    #[test]
    fn every_syn_is_answered_as_table_2_says() {
        let modes = (0..8).map(|field| requested_by(flags(field)));
        use EcnMode::{Accurate, Classic, None};
        let expected = [None, Accurate, Accurate, Classic, Accurate, Accurate, Accurate, Accurate];
        assert!(modes.eq(expected));
        for (came, answer) in [(0, 0b010), (1, 0b011), (2, 0b100), (3, 0b110)] {
            let syn_ack = agreement(Accurate, Codepoint::from_bits(came));
            assert_eq!(field(syn_ack), answer);
            assert_eq!(reflected(answer), Some(Codepoint::from_bits(came)));
        }
        assert_eq!(field(agreement(Classic, Codepoint::NotEct)), 0b001);
        assert_eq!(field(agreement(None, Codepoint::Ce)), 0);
    }

    /// RFC 9768 §3.1.4.1, RFC 3168 §6.1.1.1: requests of retransmitted SYNs.
    #[test]
    fn later_syn_retransmissions_request_no_ecn() {
        let requests = |policy: EcnPolicy| {
            [0, 1, 2, 3].map(|n| field(request(policy.requested_mode_after(n))))
        };
        assert_eq!(requests(EcnPolicy::Accurate), [0b111, 0b111, 0, 0]);
        assert_eq!(requests(EcnPolicy::On), [0b011, 0, 0, 0]);
        assert_eq!(requests(EcnPolicy::Passive), [0; 4]);
        assert_eq!(requests(EcnPolicy::Off), [0; 4]);
        assert_eq!(EcnPolicy::Off.agrees_to(EcnMode::Accurate), EcnMode::None);
        assert_eq!(EcnPolicy::Passive.agrees_to(EcnMode::Accurate), EcnMode::Accurate);
    }
}
