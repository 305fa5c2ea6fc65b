//! Who asks for which feedback, who agrees, and what the SYNs tell of each other's IP header: RFC 9768
//! §3.1, tables 2 to 4, which contain RFC 3168 §6.1.1.
//!
//! Everything is a function of the three flags AE, CWR and ECE, here read as one number, AE the highest
//! bit, as the tables print them.

use super::codepoint::{Codepoint, EcnMode, EcnPolicy};
use crate::tcp::Flags;

/// Where the three flags stand.
const SHIFT: u32 = 6;

const NOTHING: u8 = 0b000;
const CLASSIC_AGREED: u8 = 0b001;
const CLASSIC_ASKED: u8 = 0b011;
const RESERVED: u8 = 0b101;
const ACCURATE_ASKED: u8 = 0b111;

/// SYNs that ask for accurate feedback before one that asks for nothing. RFC 9768 §3.1.4.1: "at least one
/// more time", and without it from the second retransmission on, since a path may lose such SYNs.
const ACCURATE_SYNS: u8 = 2;

/// The three flags as a number.
#[inline]
pub(in crate::tcp) const fn field(flags: Flags) -> u8 {
    (flags.0 >> SHIFT & 7) as u8
}

/// A number as the three flags.
#[inline]
pub(in crate::tcp) const fn flags(field: u8) -> Flags {
    Flags((field as u16 & 7) << SHIFT)
}

impl EcnPolicy {
    /// What the first SYN asks for.
    pub(in crate::tcp) const fn wish(self) -> EcnMode {
        match self {
            Self::Off | Self::Passive => EcnMode::None,
            Self::On => EcnMode::Classic,
            Self::Accurate => EcnMode::Accurate,
        }
    }

    /// What the SYN asks for that is sent after `retransmissions` others. RFC 3168 §6.1.1.1:
    ///   > A host that receives no reply to an ECN-setup SYN within the normal SYN retransmission timeout
    ///   > interval MAY resend the SYN and any subsequent SYN retransmissions with CWR and ECE cleared.
    pub(in crate::tcp) const fn wish_after(self, retransmissions: u8) -> EcnMode {
        match self.wish() {
            EcnMode::Accurate if retransmissions < ACCURATE_SYNS => EcnMode::Accurate,
            EcnMode::Classic if retransmissions == 0 => EcnMode::Classic,
            _ => EcnMode::None,
        }
    }

    /// What is agreed to when a SYN asks for `mode`.
    pub(in crate::tcp) const fn agrees_to(self, mode: EcnMode) -> EcnMode {
        match self {
            Self::Off => EcnMode::None,
            _ => mode,
        }
    }
}

/// The flags of a SYN that asks for `mode`.
pub(in crate::tcp) const fn request(mode: EcnMode) -> Flags {
    flags(match mode {
        EcnMode::None => NOTHING,
        EcnMode::Classic => CLASSIC_ASKED,
        EcnMode::Accurate => ACCURATE_ASKED,
    })
}

/// What a SYN asks for. RFC 9768 §3.1.3:
///   > If a TCP Server [...] receives a SYN [...] with [...] any combination other than (0,0,0), (0,1,1) or
///   > (1,1,1) [...] the Server MUST negotiate the use of AccECN as if the three flags had been set to
///   > (1,1,1).
pub(in crate::tcp) const fn asked(syn: Flags) -> EcnMode {
    match field(syn) {
        NOTHING => EcnMode::None,
        CLASSIC_ASKED => EcnMode::Classic,
        _ => EcnMode::Accurate,
    }
}

/// The flags of a SYN-ACK that agrees to `mode`, after a SYN that came with `syn`.
pub(in crate::tcp) const fn agreement(mode: EcnMode, syn: Codepoint) -> Flags {
    flags(match mode {
        EcnMode::None => NOTHING,
        EcnMode::Classic => CLASSIC_AGREED,
        EcnMode::Accurate => reflection(syn),
    })
}

/// How a SYN-ACK tells of the SYN's codepoint (RFC 9768 table 2), and the ACK after it of the SYN-ACK's
/// (table 3).
pub(in crate::tcp) const fn reflection(came: Codepoint) -> u8 {
    match came {
        Codepoint::NotEct => 0b010,
        Codepoint::Ect1 => 0b011,
        Codepoint::Ect0 => 0b100,
        Codepoint::Ce => 0b110,
    }
}

/// The codepoint that a reflection tells of.
pub(in crate::tcp) const fn reflected(field: u8) -> Option<Codepoint> {
    match field {
        0b010 => Some(Codepoint::NotEct),
        0b011 => Some(Codepoint::Ect1),
        0b100 => Some(Codepoint::Ect0),
        0b110 => Some(Codepoint::Ce),
        _ => None,
    }
}

/// What a SYN-ACK agrees to after a SYN that asked for `wish`; in accurate mode also how our SYN arrived,
/// which was sent as [`Codepoint::NotEct`].
pub(in crate::tcp) const fn answered(wish: EcnMode, syn_ack: Flags) -> (EcnMode, Codepoint) {
    let field = field(syn_ack);
    match (wish, field) {
        // RFC 3168 §6.1.1: an ECN-setup SYN-ACK has ECE set and CWR not; its AE was a nonce's.
        (EcnMode::Classic, CLASSIC_AGREED | RESERVED) | (EcnMode::Accurate, CLASSIC_AGREED) => {
            (EcnMode::Classic, Codepoint::NotEct)
        }
        // RFC 9768 §3.1.3: "the Client MUST enable AccECN mode [...] as if it fed back that the IP-ECN field
        // on the SYN had arrived unchanged".
        (EcnMode::Accurate, RESERVED) => (EcnMode::Accurate, Codepoint::NotEct),
        (EcnMode::Accurate, _) => match reflected(field) {
            Some(came) => (EcnMode::Accurate, came),
            // All three set is what a broken server reflects.
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
        for (wish, answer, mode, syn) in rows {
            assert_eq!(answered(wish, flags(answer)), (mode, syn), "{wish:?} {answer:03b}");
        }
    }

    /// RFC 9768 table 2 and §3.1.3, the server's side.
    #[test]
    fn every_syn_is_answered_as_table_2_says() {
        let modes = (0..8).map(|field| asked(flags(field)));
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

    /// RFC 9768 §3.1.4.1, RFC 3168 §6.1.1.1: what SYNs ask for as they are sent again.
    #[test]
    fn later_syns_ask_for_nothing() {
        let asks = |policy: EcnPolicy| [0, 1, 2, 3].map(|n| field(request(policy.wish_after(n))));
        assert_eq!(asks(EcnPolicy::Accurate), [0b111, 0b111, 0, 0]);
        assert_eq!(asks(EcnPolicy::On), [0b011, 0, 0, 0]);
        assert_eq!(asks(EcnPolicy::Passive), [0; 4]);
        assert_eq!(asks(EcnPolicy::Off), [0; 4]);
        assert_eq!(EcnPolicy::Off.agrees_to(EcnMode::Accurate), EcnMode::None);
        assert_eq!(EcnPolicy::Passive.agrees_to(EcnMode::Accurate), EcnMode::Accurate);
    }
}
