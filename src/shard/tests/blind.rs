//! Attackers who are not on the path and know all but the numbers: a million guesses of each kind, of which
//! none closes or corrupts anything (RFC 5961, RFC 5927), and none can be told from its answers.

use core::net::Ipv4Addr;

use super::raw::{
    FRAME_HEADERS, Got, IRS, PEER, PEER_PORT, Raw, Told, US, ack, frame_to_us, quote_of_ours,
    segment_of,
};
use super::stage::PORT;
use crate::rng::Rng;
use crate::wire::checksum::{self, PseudoHeader};
use crate::wire::icmp::v4;
use crate::wire::tcp::{HeaderOut, flag};
use crate::wire::{Protocol, ipv4};

/// Guesses of each kind.
const GUESSES: usize = 1_000_000;

/// The window that we offer without scaling.
const WINDOW: u64 = 65_535;

/// Bytes that are in flight during the attack: the initial window of segments of 1000 bytes.
const IN_FLIGHT: u32 = 3_000;

/// A connection with something in flight, and an attacker.
struct Victim {
    raw: Raw,
    rng: Rng,
    /// SND.UNA.
    una: u32,
}

/// RCV.NXT of the victim.
const RCV_NXT: u32 = IRS + 1;

impl Victim {
    fn new(seed: u64) -> Self {
        let mut raw = Raw::new(|_| {});
        let una = raw.accepts() + 1;
        let conn = raw.conn();
        raw.orders(move |io| assert_eq!(io.write(conn, &[7; IN_FLIGHT as usize]), 3_000));
        raw.got();
        Self { raw, rng: Rng::new(seed), una }
    }

    /// A guess of a sequence number: anywhere, or, every other time, somewhere in the window but where the
    /// next byte is due, which RFC 5961 lets through.
    fn seq(rng: &mut Rng) -> u32 {
        let anywhere = rng.next_u32();
        let within = RCV_NXT + 1 + rng.below(WINDOW - 2) as u32;
        if rng.happens(0.5) && anywhere != RCV_NXT { anywhere } else { within }
    }

    /// A guess of an acknowledgment: anywhere but in the range that RFC 5961 §5.2 lets through, which one in
    /// 65,000 guesses meets.
    fn ack(rng: &mut Rng, una: u32) -> u32 {
        let acceptable = una.wrapping_sub(60_000);
        acceptable
            .wrapping_add(60_000 + IN_FLIGHT + 1)
            .wrapping_add(rng.below((1 << 32) - u64::from(60_000 + IN_FLIGHT) - 1) as u32)
    }

    /// A million segments with such flags and such a text.
    fn sprays(&mut self, flags: u16, text: &[u8]) -> Vec<Got> {
        let Self { raw, rng, una } = self;
        let pseudo = PseudoHeader::v4(PEER, US);
        raw.floods(GUESSES, |bytes| {
            let acknowledges = flags & flag::ACK != 0;
            let ack = if acknowledges { Self::ack(rng, *una) } else { 0 };
            let header = segment_of(flags, Self::seq(rng), ack);
            let len = header.emit(pseudo, (text, &[]), &mut bytes[FRAME_HEADERS..]).expect("room");
            frame_to_us(bytes, PEER, Protocol::TCP, len)
        });
        raw.got()
    }

    /// A million ICMP errors about segments of the connection; `error` is told the guess and gives the error
    /// and how long the packet is said to have been.
    fn sprays_errors(
        &mut self,
        mut error: impl FnMut(&mut Rng) -> (v4::Unreachable, usize, u32),
    ) -> Vec<Got> {
        let Self { raw, rng, .. } = self;
        raw.floods(GUESSES, |bytes| {
            let (reason, length, seq) = error(rng);
            let quote = quote_of_ours((PORT, PEER_PORT), seq, length - ipv4::HEADER_LEN);
            let message = v4::Message::Unreachable { reason, quote: &quote };
            let len = message.emit(&mut bytes[FRAME_HEADERS..]).expect("room");
            frame_to_us(bytes, ROUTER, Protocol::ICMP, len)
        });
        raw.got()
    }

    /// The connection goes on as if nothing had been: what was in flight is acknowledged, what comes next is
    /// read, and it is the peer's.
    fn stays_unharmed(mut self) {
        self.raw.hears(&ack(RCV_NXT, self.una + IN_FLIGHT), &[]);
        self.raw.hears(&segment_of(flag::ACK | flag::PSH, RCV_NXT, self.una + IN_FLIGHT), b"good");
        let conn = self.raw.conn();
        self.raw.orders(move |io| {
            let mut buffer = [0; 64];
            let read = io.read(conn, &mut buffer);
            assert_eq!(&buffer[..read], b"good");
            let info = io.info(conn).expect("it lives");
            assert_eq!((info.state, info.in_flight, info.bytes_received), ("ESTABLISHED", 0, 4));
        });
        assert_eq!(self.raw.told(), [Told::Readable]);
    }
}

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// Answers to guesses, all within a second or on both sides of its end: RFC 5961 §7.
fn are_few(answers: &[Got]) {
    let bare = answers.iter().filter(|got| got.len == 0).count();
    assert!(bare <= 20, "{bare} challenge ACKs");
    assert!(answers.iter().all(|got| got.flags & flag::RST == 0));
}

#[test]
fn a_million_blind_resets_close_nothing() {
    // RFC 5961 §3
    let mut victim = Victim::new(1);
    are_few(&victim.sprays(flag::RST, &[]));
    victim.stays_unharmed();
}

#[test]
fn a_million_blind_syns_close_nothing() {
    // RFC 5961 §4
    for (seed, flags) in [(2, flag::SYN), (3, flag::SYN | flag::ACK)] {
        let mut victim = Victim::new(seed);
        are_few(&victim.sprays(flags, &[]));
        victim.stays_unharmed();
    }
}

#[test]
fn a_million_blind_segments_with_data_corrupt_nothing() {
    // RFC 5961 §5
    let mut victim = Victim::new(4);
    let answers = victim.sprays(flag::ACK | flag::PSH, b"evil");
    assert!(answers.iter().all(|got| got.ack == RCV_NXT));
    victim.stays_unharmed();
}

#[test]
fn a_million_blind_fins_close_nothing() {
    // RFC 5961 §5
    let mut victim = Victim::new(5);
    let answers = victim.sprays(flag::ACK | flag::FIN, &[]);
    assert!(answers.iter().all(|got| got.ack == RCV_NXT));
    victim.stays_unharmed();
}

#[test]
fn a_million_blind_acks_acknowledge_nothing() {
    // RFC 5961 §5
    let mut victim = Victim::new(6);
    are_few(&victim.sprays(flag::ACK, &[]));
    victim.stays_unharmed();
}

#[test]
fn a_million_forged_hard_errors_close_nothing() {
    // RFC 5927 §5.2: even those that quote what is in flight.
    let mut victim = Victim::new(7);
    let una = victim.una;
    let answers = victim.sprays_errors(|rng| {
        let hit = una + rng.below(IN_FLIGHT.into()) as u32;
        let seq = if rng.happens(0.5) { hit } else { rng.next_u32() };
        let reasons = [v4::Unreachable::Port, v4::Unreachable::Protocol, v4::Unreachable::Host];
        (reasons[rng.below(3) as usize], 1040, seq)
    });
    are_few(&answers);
    let troubles = victim.raw.told();
    assert!(troubles.iter().all(|told| matches!(told, Told::SoftError(_))), "{troubles:?}");
    victim.stays_unharmed();
}

#[test]
fn a_million_lies_about_the_path_mtu_change_nothing() {
    // RFC 5927 §7.2: what is not in flight, or would have fitted.
    let mut victim = Victim::new(8);
    let una = victim.una;
    let answers = victim.sprays_errors(|rng| {
        let elsewhere = una.wrapping_add(IN_FLIGHT + 1 + rng.below(4_000_000_000) as u32);
        let hit = una + rng.below(IN_FLIGHT.into()) as u32;
        let mtu = rng.next_u32() as u16;
        if rng.happens(0.5) {
            (v4::Unreachable::TooBig { mtu }, 1040, elsewhere)
        } else {
            (v4::Unreachable::TooBig { mtu: mtu.max(1040) }, 1040, hit)
        }
    });
    are_few(&answers);
    let conn = victim.raw.conn();
    victim.raw.orders(move |io| assert_eq!(io.info(conn).expect("it lives").mss, 1000));
    victim.stays_unharmed();
}

#[test]
fn a_million_source_quenches_slow_nothing() {
    // RFC 5927 §6.1, RFC 6633
    let mut victim = Victim::new(9);
    let conn = victim.raw.conn();
    let una = victim.una;
    let Victim { raw, rng, .. } = &mut victim;
    raw.floods(GUESSES, |bytes| {
        let quote =
            quote_of_ours((PORT, PEER_PORT), una + rng.below(IN_FLIGHT.into()) as u32, 1020);
        let message = &mut bytes[FRAME_HEADERS..];
        message[..8].copy_from_slice(&[4, 0, 0, 0, 0, 0, 0, 0]);
        message[8..36].copy_from_slice(&quote);
        let sum = checksum::sum(&message[..36]).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        frame_to_us(bytes, ROUTER, Protocol::ICMP, 36)
    });
    are_few(&raw.got());
    raw.orders(move |io| assert_eq!(io.info(conn).expect("it lives").cwnd, 10_000));
    victim.stays_unharmed();
}

/// Answers that an attacker has to two thousand resets for a connection of its own, in a second in which it
/// has sent `forged` of them in the victim's name.
fn answers_to_the_attacker(forged: u32) -> usize {
    let mut victim = Victim::new(10);
    let port = PEER_PORT + 1;
    let own = HeaderOut { src_port: port, ..super::raw::syn() };
    victim.raw.hears(&own, &[]);
    let iss = victim.raw.got().remove(0).seq;
    victim.raw.hears(&HeaderOut { src_port: port, ..ack(RCV_NXT, iss + 1) }, &[]);
    for n in 0..forged {
        victim.raw.hears(&segment_of(flag::RST, RCV_NXT + 1 + n, 0), &[]);
    }
    let theirs = victim.raw.got().len();
    assert!(theirs <= 10, "{theirs} challenge ACKs for one connection");
    for n in 0..200 {
        let reset = HeaderOut { src_port: port, ..segment_of(flag::RST, RCV_NXT + 1 + n, 0) };
        victim.raw.hears(&reset, &[]);
    }
    victim.raw.got().len()
}

#[test]
fn what_was_forged_for_another_connection_does_not_show_in_the_answers_to_ones_own() {
    // RFC 5961 §7 without CVE-2016-5696.
    let undisturbed = answers_to_the_attacker(0);
    assert_eq!(undisturbed, 10);
    assert_eq!(answers_to_the_attacker(300), undisturbed);
}
