//! Off-path attackers who know the addresses and ports but not the sequence numbers: a million
//! guesses of each kind neither close nor corrupt a connection (RFC 5961, RFC 5927), and the
//! replies reveal nothing.

use core::net::Ipv4Addr;

use super::raw::{
    Callback, FRAME_HEADERS, IRS, LOCAL, PEER, PEER_PORT, Raw, SentSegment, ack, frame_to_local,
    quoted_segment, segment_of,
};
use super::stage::PORT;
use crate::rng::Rng;
use crate::wire::checksum::{self, PseudoHeader};
use crate::wire::icmp::v4;
use crate::wire::tcp::{HeaderOut, flag};
use crate::wire::{Protocol, ipv4};

/// Guesses of each kind.
const GUESSES: usize = 1_000_000;

/// The receive window that the shard offers without scaling.
const WINDOW: u64 = 65_535;

/// Bytes in flight during the attack.
const IN_FLIGHT: u32 = 3_000;

/// A connection with data in flight, and the attacker's random numbers.
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
        let una = raw.accept() + 1;
        let conn = raw.conn();
        raw.with_io(move |io| assert_eq!(io.write(conn, &[7; IN_FLIGHT as usize]), 3_000));
        raw.sent();
        Self { raw, rng: Rng::new(seed), una }
    }

    /// Guesses a sequence number: half of the time anywhere, otherwise inside the window. Never
    /// RCV.NXT, which RFC 5961 accepts.
    fn seq(rng: &mut Rng) -> u32 {
        let anywhere = rng.next_u32();
        let within = RCV_NXT + 1 + rng.below(WINDOW - 2) as u32;
        if rng.happens(0.5) && anywhere != RCV_NXT { anywhere } else { within }
    }

    /// Guesses an acknowledgment number anywhere outside the range that RFC 5961 §5.2 accepts. One
    /// in 65,000 random guesses would hit that range.
    fn ack(rng: &mut Rng, una: u32) -> u32 {
        let acceptable = una.wrapping_sub(60_000);
        acceptable
            .wrapping_add(60_000 + IN_FLIGHT + 1)
            .wrapping_add(rng.below((1 << 32) - u64::from(60_000 + IN_FLIGHT) - 1) as u32)
    }

    /// Sends a million segments with these flags and this payload. Returns the replies.
    fn spray(&mut self, flags: u16, payload: &[u8]) -> Vec<SentSegment> {
        let Self { raw, rng, una } = self;
        let pseudo = PseudoHeader::v4(PEER, LOCAL);
        raw.flood(GUESSES, |bytes| {
            let acknowledges = flags & flag::ACK != 0;
            let ack = if acknowledges { Self::ack(rng, *una) } else { 0 };
            let header = segment_of(flags, Self::seq(rng), ack);
            let len =
                header.emit(pseudo, (payload, &[]), &mut bytes[FRAME_HEADERS..]).expect("room");
            frame_to_local(bytes, PEER, Protocol::TCP, len)
        });
        raw.sent()
    }

    /// Sends a million ICMP errors about segments of the connection. `error` returns the error, the
    /// claimed length of the packet, and the guessed sequence number.
    fn spray_errors(
        &mut self,
        mut error: impl FnMut(&mut Rng) -> (v4::Unreachable, usize, u32),
    ) -> Vec<SentSegment> {
        let Self { raw, rng, .. } = self;
        raw.flood(GUESSES, |bytes| {
            let (reason, length, seq) = error(rng);
            let quote = quoted_segment((PORT, PEER_PORT), seq, length - ipv4::HEADER_LEN);
            let message = v4::Message::Unreachable { reason, quote: &quote };
            let len = message.emit(&mut bytes[FRAME_HEADERS..]).expect("room");
            frame_to_local(bytes, ROUTER, Protocol::ICMP, len)
        });
        raw.sent()
    }

    /// Asserts that the connection still works: the peer acknowledges the data in flight, and the
    /// program reads exactly what the peer sends.
    fn assert_unharmed(mut self) {
        self.raw.receives(&ack(RCV_NXT, self.una + IN_FLIGHT), &[]);
        self.raw
            .receives(&segment_of(flag::ACK | flag::PSH, RCV_NXT, self.una + IN_FLIGHT), b"good");
        let conn = self.raw.conn();
        self.raw.with_io(move |io| {
            let mut buffer = [0; 64];
            let read = io.read(conn, &mut buffer);
            assert_eq!(&buffer[..read], b"good");
            let info = io.info(conn).expect("it lives");
            assert_eq!((info.state, info.in_flight, info.bytes_received), ("ESTABLISHED", 0, 4));
        });
        assert_eq!(self.raw.callbacks(), [Callback::Readable]);
    }
}

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// Asserts that the replies are rate-limited (RFC 5961 §7). The guesses fall into at most two
/// one-second windows.
fn assert_few(answers: &[SentSegment]) {
    let bare = answers.iter().filter(|got| got.len == 0).count();
    assert!(bare <= 20, "{bare} challenge ACKs");
    assert!(answers.iter().all(|got| got.flags & flag::RST == 0));
}

#[test]
fn a_million_blind_resets_close_nothing() {
    // RFC 5961 §3
    let mut victim = Victim::new(1);
    assert_few(&victim.spray(flag::RST, &[]));
    victim.assert_unharmed();
}

#[test]
fn a_million_blind_syns_close_nothing() {
    // RFC 5961 §4
    for (seed, flags) in [(2, flag::SYN), (3, flag::SYN | flag::ACK)] {
        let mut victim = Victim::new(seed);
        assert_few(&victim.spray(flags, &[]));
        victim.assert_unharmed();
    }
}

#[test]
fn a_million_blind_segments_with_data_corrupt_nothing() {
    // RFC 5961 §5
    let mut victim = Victim::new(4);
    let answers = victim.spray(flag::ACK | flag::PSH, b"evil");
    assert!(answers.iter().all(|got| got.ack == RCV_NXT));
    victim.assert_unharmed();
}

#[test]
fn a_million_blind_fins_close_nothing() {
    // RFC 5961 §5
    let mut victim = Victim::new(5);
    let answers = victim.spray(flag::ACK | flag::FIN, &[]);
    assert!(answers.iter().all(|got| got.ack == RCV_NXT));
    victim.assert_unharmed();
}

#[test]
fn a_million_blind_acks_acknowledge_nothing() {
    // RFC 5961 §5
    let mut victim = Victim::new(6);
    assert_few(&victim.spray(flag::ACK, &[]));
    victim.assert_unharmed();
}

#[test]
fn a_million_forged_hard_errors_close_nothing() {
    // RFC 5927 §5.2: not even errors that quote data in flight.
    let mut victim = Victim::new(7);
    let una = victim.una;
    let answers = victim.spray_errors(|rng| {
        let hit = una + rng.below(IN_FLIGHT.into()) as u32;
        let seq = if rng.happens(0.5) { hit } else { rng.next_u32() };
        let reasons = [v4::Unreachable::Port, v4::Unreachable::Protocol, v4::Unreachable::Host];
        (reasons[rng.below(3) as usize], 1040, seq)
    });
    assert_few(&answers);
    let callbacks = victim.raw.callbacks();
    assert!(
        callbacks.iter().all(|callback| matches!(callback, Callback::SoftError(_))),
        "{callbacks:?}"
    );
    victim.assert_unharmed();
}

#[test]
fn a_million_forged_path_mtus_change_nothing() {
    // RFC 5927 §7.2: errors about data not in flight, or about packets that fit the claimed MTU.
    let mut victim = Victim::new(8);
    let una = victim.una;
    let answers = victim.spray_errors(|rng| {
        let elsewhere = una.wrapping_add(IN_FLIGHT + 1 + rng.below(4_000_000_000) as u32);
        let hit = una + rng.below(IN_FLIGHT.into()) as u32;
        let mtu = rng.next_u32() as u16;
        if rng.happens(0.5) {
            (v4::Unreachable::TooBig { mtu }, 1040, elsewhere)
        } else {
            (v4::Unreachable::TooBig { mtu: mtu.max(1040) }, 1040, hit)
        }
    });
    assert_few(&answers);
    let conn = victim.raw.conn();
    victim.raw.with_io(move |io| assert_eq!(io.info(conn).expect("it lives").mss, 1000));
    victim.assert_unharmed();
}

#[test]
fn a_million_source_quenches_slow_nothing() {
    // RFC 5927 §6.1, RFC 6633
    let mut victim = Victim::new(9);
    let conn = victim.raw.conn();
    let una = victim.una;
    let Victim { raw, rng, .. } = &mut victim;
    raw.flood(GUESSES, |bytes| {
        let quote =
            quoted_segment((PORT, PEER_PORT), una + rng.below(IN_FLIGHT.into()) as u32, 1020);
        let message = &mut bytes[FRAME_HEADERS..];
        message[..8].copy_from_slice(&[4, 0, 0, 0, 0, 0, 0, 0]);
        message[8..36].copy_from_slice(&quote);
        let sum = checksum::sum(&message[..36]).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        frame_to_local(bytes, ROUTER, Protocol::ICMP, 36)
    });
    assert_few(&raw.sent());
    raw.with_io(move |io| assert_eq!(io.info(conn).expect("it lives").cwnd, 10_000));
    victim.assert_unharmed();
}

/// Sends `forged` resets in the victim's name and 200 on the attacker's own connection, all within
/// one second. Returns the number of replies that the attacker gets.
fn replies_to_attacker(forged: u32) -> usize {
    let mut victim = Victim::new(10);
    let port = PEER_PORT + 1;
    let own = HeaderOut { src_port: port, ..super::raw::syn() };
    victim.raw.receives(&own, &[]);
    let iss = victim.raw.sent().remove(0).seq;
    victim.raw.receives(&HeaderOut { src_port: port, ..ack(RCV_NXT, iss + 1) }, &[]);
    for n in 0..forged {
        victim.raw.receives(&segment_of(flag::RST, RCV_NXT + 1 + n, 0), &[]);
    }
    let to_victim = victim.raw.sent().len();
    assert!(to_victim <= 10, "{to_victim} challenge ACKs for one connection");
    for n in 0..200 {
        let reset = HeaderOut { src_port: port, ..segment_of(flag::RST, RCV_NXT + 1 + n, 0) };
        victim.raw.receives(&reset, &[]);
    }
    victim.raw.sent().len()
}

#[test]
fn challenge_ack_limits_do_not_leak_between_connections() {
    // RFC 5961 §7, without the side channel of CVE-2016-5696.
    let undisturbed = replies_to_attacker(0);
    assert_eq!(undisturbed, 10);
    assert_eq!(replies_to_attacker(300), undisturbed);
}
