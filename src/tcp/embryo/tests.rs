//! The passive handshake, segment by segment: RFC 9293 §3.10.7.2 and §3.10.7.4, and the parts of
//! §3.7.1 and of RFC 2018 §2 that an embryo implements.

use super::*;
use crate::tcp::{
    Disposition, EcnMode, Flags, Options, Segment, SegmentOut, SeqNum, Settings, Timestamps,
    WindowShift,
};
use crate::time::{Duration, Instant};

const IRS: SeqNum = SeqNum(u32::MAX); // the peer's first byte is number 0
const ISS: SeqNum = SeqNum(1000);
const NOW: Instant = Instant::from_millis(5_000);

fn segment(flags: Flags, seq: SeqNum, ack: SeqNum) -> Segment<'static> {
    Segment { seq, ack, flags, window: 1000, ..Segment::default() }
}

fn stamped(mut segment: Segment<'static>, value: u32) -> Segment<'static> {
    segment.options.timestamps = Some(Timestamps { value, echo: 0 });
    segment
}

fn syn() -> Segment<'static> {
    let mut syn = stamped(segment(Flags::SYN, IRS, SeqNum(0)), 70);
    syn.options.mss = Some(1400);
    syn.options.window_shift = Some(WindowShift::from_offer(9));
    syn.options.sack_permitted = true;
    syn
}

fn ack() -> Segment<'static> {
    stamped(segment(Flags::ACK, IRS + 1, ISS + 1), 71)
}

fn embryo(syn: &Segment<'_>) -> Embryo {
    Embryo::from_syn(syn, 3, ISS, NOW, &Settings::default(), false)
}

fn answer(segment: Segment<'_>) -> EmbryoAnswer {
    embryo(&syn()).on_segment(&segment, &Settings::default())
}

#[test]
fn an_embryo_takes_28_bytes() {
    assert_eq!(size_of::<Embryo>(), 28);
}

#[test]
fn the_syn_ack_answers_every_offer_and_nothing_else() {
    let settings = Settings::default();
    let full = embryo(&syn()).syn_ack(NOW, 10, &settings, false);
    assert_eq!((full.seq, full.ack), (ISS, IRS + 1));
    assert_eq!(full.flags, Flags::SYN.with(Flags::ACK));
    assert_eq!(full.options.mss, Some(1460));
    assert_eq!(full.options.window_shift, Some(WindowShift::for_buffer(settings.receive_buffer)));
    assert_eq!(full.options.timestamps, Some(Timestamps { value: 5_010, echo: 70 }));
    assert!(full.options.sack_permitted);

    let bare = embryo(&segment(Flags::SYN, IRS, SeqNum(0))).syn_ack(NOW, 10, &settings, true);
    let only_mss = Options { mss: Some(1440), ..Options::default() };
    assert_eq!(bare.options, only_mss);
}

#[test]
fn disabled_options_are_not_negotiated() {
    let settings =
        Settings { timestamps: false, window_scaling: false, sack: false, ..Settings::default() };
    let embryo = Embryo::from_syn(&syn(), 0, ISS, NOW, &settings, false);
    assert!(!embryo.sack_permitted());
    assert_eq!((embryo.shifts(), embryo.timestamps()), (None, None));
    let options = embryo.syn_ack(NOW, 0, &settings, false).options;
    assert_eq!((options.window_shift, options.timestamps), (None, None));
    assert!(!options.sack_permitted);
}

#[test]
fn the_window_of_a_syn_ack_is_never_scaled() {
    let settings = Settings { receive_buffer: 1 << 20, ..Settings::default() };
    let embryo = Embryo::from_syn(&syn(), 0, ISS, NOW, &settings, false);
    assert_eq!(embryo.syn_ack(NOW, 0, &settings, false).window, u16::MAX);
    let small = Settings { receive_buffer: 5_000, ..settings };
    let embryo = Embryo::from_syn(&syn(), 0, ISS, NOW, &small, false);
    assert_eq!(embryo.syn_ack(NOW, 0, &small, false).window, 5_000);
}

#[test]
fn without_an_mss_option_the_default_of_the_family_applies() {
    let syn = segment(Flags::SYN, IRS, SeqNum(0));
    let settings = Settings::default();
    assert_eq!(Embryo::from_syn(&syn, 0, ISS, NOW, &settings, false).mss(), 536);
    assert_eq!(Embryo::from_syn(&syn, 0, ISS, NOW, &settings, true).mss(), 1220);
}

#[test]
fn the_mss_is_between_the_floor_and_our_own_limit() {
    let mss = |offer| {
        let mut syn = syn();
        syn.options.mss = Some(offer);
        embryo(&syn).mss()
    };
    assert_eq!((mss(0), mss(1400), mss(u16::MAX)), (64, 1400, 1460));
}

#[test]
fn negotiated_options_can_be_read_back() {
    let e = embryo(&syn());
    let ours = WindowShift::for_buffer(Settings::default().receive_buffer);
    assert_eq!(e.shifts(), Some((ours, WindowShift::from_offer(9))));
    assert_eq!((e.iss(), e.irs(), e.listener(), e.timestamps()), (ISS, IRS, 3, Some(70)));
    assert!(e.sack_permitted() && e.ecn_mode() == EcnMode::None);
}

#[test]
fn the_right_ack_establishes() {
    assert_eq!(answer(ack()), EmbryoAnswer::Establish);
}

#[test]
fn data_and_fin_on_the_handshake_ack_go_to_the_connection() {
    let mut segment = ack();
    segment.flags = segment.flags.with(Flags::FIN).with(Flags::PSH);
    segment.payload = b"hello";
    assert_eq!(answer(segment), EmbryoAnswer::Establish);
}

#[test]
fn data_ahead_of_a_lost_first_segment_establishes_too() {
    let mut e = embryo(&syn());
    let mut segment = stamped(segment(Flags::ACK, IRS + 101, ISS + 1), 90);
    segment.payload = b"late";
    assert_eq!(e.on_segment(&segment, &Settings::default()), EmbryoAnswer::Establish);
    // RFC 7323 §4.3: a segment not at the left edge leaves TS.Recent alone.
    assert_eq!(e.timestamps(), Some(70));
}

#[test]
fn an_ack_of_anything_but_our_syn_is_reset() {
    for wrong in [ISS, ISS + 2, ISS + 70_000] {
        let segment = Segment { ack: wrong, ..ack() };
        assert_eq!(answer(segment), EmbryoAnswer::Reset);
        let reset = SegmentOut::reset_for(&segment).unwrap();
        assert_eq!((reset.seq, reset.flags), (wrong, Flags::RST));
    }
}

#[test]
fn a_retransmitted_syn_is_answered_with_the_syn_ack() {
    let mut e = embryo(&syn());
    let again = stamped(syn(), 1_070);
    assert_eq!(e.on_segment(&again, &Settings::default()), EmbryoAnswer::SynAck);
    let echo = e.syn_ack(NOW, 0, &Settings::default(), false).options.timestamps.unwrap().echo;
    assert_eq!(echo, 1_070);
}

#[test]
fn data_on_the_syn_is_not_acknowledged() {
    let mut early = syn();
    early.payload = b"early";
    let e = embryo(&early);
    assert_eq!(e.syn_ack(NOW, 0, &Settings::default(), false).ack, IRS + 1);
}

#[test]
fn a_syn_in_the_window_is_challenged_and_one_outside_is_acknowledged() {
    let inside = stamped(segment(Flags::SYN, IRS + 10, SeqNum(0)), 80);
    assert_eq!(answer(inside), EmbryoAnswer::Ack(Disposition::ChallengedSyn));
    let outside = stamped(segment(Flags::SYN, IRS - 10, SeqNum(0)), 80);
    assert_eq!(answer(outside), EmbryoAnswer::Ack(Disposition::OutOfWindow));
}

#[test]
fn a_reset_removes_only_at_the_next_expected_number() {
    let rst = |seq| answer(segment(Flags::RST, seq, SeqNum(0)));
    assert_eq!(rst(IRS + 1), EmbryoAnswer::Remove);
    assert_eq!(rst(IRS + 2), EmbryoAnswer::Ack(Disposition::ChallengedReset));
    assert_eq!(rst(IRS + 65_535), EmbryoAnswer::Ack(Disposition::ChallengedReset));
    assert_eq!(rst(IRS + 65_536), EmbryoAnswer::Ignore(Disposition::OutOfWindow));
    assert_eq!(rst(IRS), EmbryoAnswer::Ignore(Disposition::OutOfWindow));
}

#[test]
fn the_challenge_ack_has_both_sequence_numbers() {
    let ack = embryo(&syn()).ack(NOW, 10, &Settings::default());
    assert_eq!((ack.seq, ack.ack, ack.flags), (ISS + 1, IRS + 1, Flags::ACK));
    assert_eq!(ack.options.timestamps, Some(Timestamps { value: 5_010, echo: 70 }));
}

#[test]
fn a_segment_outside_the_window_is_acknowledged() {
    let outside = stamped(segment(Flags::ACK, IRS + 65_536, ISS + 1), 71);
    assert_eq!(answer(outside), EmbryoAnswer::Ack(Disposition::OutOfWindow));
}

#[test]
fn a_segment_without_ack_is_dropped() {
    let nothing = stamped(segment(Flags::default(), IRS + 1, SeqNum(0)), 71);
    assert_eq!(answer(nothing), EmbryoAnswer::Ignore(Disposition::NoAck));
}

#[test]
fn an_old_timestamp_is_refused_and_a_missing_one_ignored() {
    let old = stamped(ack(), 69);
    assert_eq!(answer(old), EmbryoAnswer::Ack(Disposition::OldTimestamp));
    let missing = Segment { options: Options::default(), ..ack() };
    assert_eq!(answer(missing), EmbryoAnswer::Ignore(Disposition::NoTimestamp));
    // The clock of the peer may wrap in between.
    let mut e = embryo(&stamped(syn(), u32::MAX));
    let wrapped = stamped(ack(), 0);
    assert_eq!(e.on_segment(&wrapped, &Settings::default()), EmbryoAnswer::Establish);
}

#[test]
fn a_zero_window_still_completes_the_handshake() {
    let settings = Settings { receive_buffer: 0, ..Settings::default() };
    let mut e = Embryo::from_syn(&syn(), 0, ISS, NOW, &settings, false);
    assert_eq!(e.on_segment(&ack(), &settings), EmbryoAnswer::Establish);
}

#[test]
fn the_syn_ack_is_retransmitted_with_backoff_until_given_up() {
    let settings = Settings { syn_ack_retries: 7, ..Settings::default() };
    let mut e = Embryo::from_syn(&syn(), 0, ISS, NOW, &settings, false);
    let mut now = NOW;
    let mut waits = Vec::new();
    loop {
        let deadline = e.deadline(now);
        assert_eq!(e.on_deadline(now, &settings), EmbryoDeadline::NotYet);
        waits.push(deadline.since(now).as_millis() / 1000);
        now = deadline;
        match e.on_deadline(now, &settings) {
            EmbryoDeadline::Retransmit => {}
            EmbryoDeadline::GiveUp => break,
            EmbryoDeadline::NotYet => panic!("the deadline is the time"),
        }
    }
    // RFC 6298 (5.5), up to rto_max.
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(e.retransmissions(), 7);
}

#[test]
fn a_deadline_survives_the_wrap_of_its_32_bits() {
    let now = Instant::from_millis(u64::from(u32::MAX) - 500);
    let e = Embryo::from_syn(&syn(), 0, ISS, now, &Settings::default(), false);
    assert_eq!(e.deadline(now), now + Duration::from_secs(1));
    let later = now + Duration::from_secs(30);
    assert_eq!(e.deadline(later), now + Duration::from_secs(1));
}

#[test]
fn only_a_syn_ack_sent_once_measures_the_rtt() {
    let settings = Settings::default();
    let later = NOW + Duration::from_micros(250);
    let mut e = embryo(&syn());
    assert_eq!(e.handshake_rtt(later), Some(Duration::from_micros(250)));
    let _ = e.on_segment(&syn(), &settings);
    assert_eq!(e.handshake_rtt(later), None);

    let mut e = embryo(&syn());
    let _ = e.on_deadline(NOW + Duration::from_secs(2), &settings);
    assert_eq!(e.handshake_rtt(later), None);
}
