//! Forged segments of an attacker who guesses: RFC 5961, PAWS (RFC 7323 §5), forged ICMP
//! (RFC 5927).

use super::{Script, ack, bare, data, rst, syn, text};
use crate::tcp::{Disposition, PathError, Phase};

#[test]
fn a_reset_in_the_window_but_not_at_its_start_is_challenged() {
    // RFC 5961 §3.2
    let mut t = Script::established();
    t.refuses(rst(2), Disposition::ChallengedReset).is(Phase::Established).sends([bare(1).at(1)]);
    t.refuses(rst(59_000), Disposition::ChallengedReset).sends([bare(1)]);
}

#[test]
fn a_reset_outside_the_window_is_dropped_silently() {
    let mut t = Script::established();
    t.refuses(rst(0), Disposition::OutOfWindow).refuses(rst(61_000), Disposition::OutOfWindow);
    t.is(Phase::Established).quiet();
}

#[test]
fn a_syn_in_a_synchronized_state_is_challenged_at_any_sequence_number() {
    // RFC 5961 §4.2
    let mut t = Script::established();
    for seq in [0, 1, 500, 100_000] {
        t.refuses(syn().seq(seq), Disposition::ChallengedSyn).sends([bare(1).at(1)]);
    }
    t.is(Phase::Established);
}

#[test]
fn an_ack_of_unsent_data_is_challenged() {
    // RFC 5961 §5.2
    let mut t = Script::established().write(100);
    t.sends([1..101]);
    t.refuses(ack(102), Disposition::BadAck).sends([bare(1)]);
    t.refuses(data(1..11).ack(102), Disposition::BadAck).sends([bare(1)]);
    assert_eq!(t.reads(10), 0);
}

#[test]
fn only_an_ack_older_than_the_largest_window_is_challenged() {
    let mut t = Script::established();
    for i in 0..100 {
        assert_eq!(t.writes(1000), 1000);
        t.sends([1 + i * 1000..1001 + i * 1000]);
        t.gets(ack(1001 + i * 1000));
    }
    t.gets(data(1..11).ack(100_001 - 60_000)); // SND.UNA - MAX.SND.WND
    t.refuses(data(11..21).ack(100_000 - 60_000), Disposition::BadAck);
    assert_eq!(t.reads(100), 10, "the data of a segment with an old ACK is accepted");
    t.sends([bare(11)]);
}

#[test]
fn challenge_acks_stop_at_the_limit_of_the_shard() {
    // RFC 5961 §7
    let mut t = Script::established();
    t.challenge_acks = 2;
    for _ in 0..2 {
        t.refuses(rst(2), Disposition::ChallengedReset).sends([bare(1)]);
    }
    t.refuses(rst(2), Disposition::ChallengedReset).quiet();
    t.refuses(syn(), Disposition::ChallengedSyn).quiet();
    t.refuses(ack(1).seq(100_000), Disposition::OutOfWindow).quiet();
    t.refuses(data(100_000..100_001), Disposition::OutOfWindow).sends([bare(1)]);
}

#[test]
fn a_connection_sends_at_most_ten_challenge_acks_per_second() {
    // RFC 5961 §7
    let mut t = Script::established();
    t.challenge_acks = 1_000_000;
    for _ in 0..10 {
        t.refuses(rst(2), Disposition::ChallengedReset).sends([bare(1)]);
    }
    t.refuses(rst(2), Disposition::ChallengedReset).quiet();
    t.refuses(syn(), Disposition::ChallengedSyn).quiet();
    t.after_ms(1000).refuses(syn(), Disposition::ChallengedSyn).sends([bare(1)]);
}

#[test]
fn a_segment_outside_the_window_is_acknowledged_and_dropped() {
    let mut t = Script::established();
    t.refuses(data(60_001..60_011), Disposition::OutOfWindow).sends([bare(1)]);
    t.gets(data(1..11)).sent();
    t.after_ms(40).sends([bare(11)]);
    t.refuses(data(1..11), Disposition::OutOfWindow).sends([bare(11)]);
}

#[test]
fn a_segment_without_ack_is_dropped() {
    let mut t = Script::established();
    t.refuses(data(1..11).no_ack(), Disposition::NoAck).quiet();
}

fn stamped() -> Script {
    Script::established_with(|s| s.timestamps = true) // the peer's SYN has TSval 100
}

#[test]
fn an_old_timestamp_makes_a_segment_unacceptable() {
    // RFC 7323 §5.3 R1
    let mut t = stamped();
    t.refuses(data(1..11).stamp(99, 0), Disposition::OldTimestamp).sends([bare(1)]);
    t.gets(data(1..11).stamp(101, 0)).gets(data(11..21).stamp(101, 0)).sends([bare(21)]);
    assert_eq!(t.c.rcv.ts_recent, 101);
    // Older by half of the number space counts as newer.
    t.gets(data(21..31).stamp(101u32.wrapping_add(1 << 30), 0));
}

#[test]
fn a_reset_is_exempt_from_paws() {
    let mut t = stamped();
    t.gets(rst(1).stamp(5, 0)).is(Phase::Closed);
}

#[test]
fn a_segment_without_a_timestamp_is_dropped_silently() {
    // RFC 7323 §3.2
    let mut t = stamped();
    t.refuses(data(1..11), Disposition::NoTimestamp).is(Phase::Established).quiet();
}

#[test]
fn only_a_segment_at_or_before_the_last_ack_sent_sets_ts_recent() {
    // RFC 7323 §4.3 (2)
    let mut t = stamped();
    t.gets(data(501..601).stamp(200, 0));
    assert_eq!(t.c.rcv.ts_recent, 100);
    assert_eq!(t.sent()[0].options.timestamps.map(|ts| ts.echo), Some(100));
    t.gets(data(1..501).stamp(190, 0));
    assert_eq!(t.c.rcv.ts_recent, 190);
    // Of the segments of a delayed ACK the first is echoed: the echo includes the delay.
    let mut t = stamped();
    t.gets(data(1..11).stamp(110, 0)).gets(data(11..21).stamp(120, 0));
    assert_eq!(t.sent()[0].options.timestamps.map(|ts| ts.echo), Some(110));
}

#[test]
fn ts_recent_is_forgotten_after_24_days() {
    // RFC 7323 §5.5
    let mut t = stamped();
    t.after_ms(24 * 24 * 3600 * 1000 + 1).gets(data(1..11).stamp(50, 0));
}

#[test]
fn an_icmp_that_quotes_nothing_in_flight_is_ignored() {
    // RFC 5927 §4.1
    let mut t = Script::established().write(3000);
    t.sends([1..1001, 1001..2001, 2001..3001]);
    t.path_error(PathError::TooBig(540), 3001).path_error(PathError::TooBig(540), 0).quiet();
    assert_eq!(t.c.snd.mss, 1000);
}

#[test]
fn packet_too_big_lowers_the_mss_and_retransmits_what_did_not_fit() {
    let mut t = Script::established().write(1500);
    t.sends([1..1001, 1001..1501]);
    let cwnd = t.c.recovery.controller.cwnd();
    t.path_error(PathError::TooBig(540), 1);
    t.sends([text(1..501), text(501..1001), text(1001..1501)]);
    assert_eq!(
        t.c.recovery.controller.cwnd(),
        cwnd,
        "this is no congestion (RFC 1191 §6.5, RFC 8201 §5.4)"
    );
    t.gets(ack(1501)).path_error(PathError::TooBig(10), 1).quiet();
}

#[test]
fn a_forged_timestamp_without_a_valid_ack_does_not_change_ts_recent() {
    // RFC 7323 §5.3 R1 would drop everything from the peer after a forged TSval had become
    // TS.Recent. RFC 5961 §5.2 discards a segment that acknowledges unsent data.
    let mut t = stamped();
    t.refuses(data(1..11).stamp(1_000_000, 0).ack(5000), Disposition::BadAck).sends([bare(1)]);
    t.gets(data(1..11).stamp(101, 0).ack(1)).gets(data(11..21).stamp(101, 0).ack(1));
    t.sends([bare(21)]);
}

#[test]
fn a_segment_without_a_timestamp_is_accepted_only_by_configuration() {
    // RFC 7323 §3.2
    stamped().refuses(data(1..11), Disposition::NoTimestamp).quiet();
    let mut t = Script::established_with(|s| (s.timestamps, s.drop_unstamped) = (true, false));
    t.gets(data(1..11)).gets(data(11..21)).sends([bare(21)]);
    assert_eq!(t.c.rcv.ts_recent, 100, "as in the peer's SYN");
}
