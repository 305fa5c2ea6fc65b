//! Arbitrary segments in any phase, with random calls of the program between: no panic (debug
//! assertions check the invariants), no endless output, no memory leak.

use super::literals::cookie;
use super::script::{Script, plain};
use super::{data, syn};
use crate::rng::Rng;
use crate::tcp::{
    ByteCounters, Codepoint, EcnPolicy, Flags, Options, PathError, Phase, RareOptions, SackBlocks,
    Segment, SeqNum, Timestamps, UserTimeout, WindowShift,
};

/// Returns a mostly plausible segment: numbers near the relevant ones, meaningful flags.
fn any_segment<'a>(
    rng: &mut Rng,
    t: &Script,
    payload: &'a [u8],
    rare: &'a RareOptions,
) -> Segment<'a> {
    let near = |rng: &mut Rng, center: SeqNum| match rng.below(4) {
        0 | 1 => center,
        2 => center + rng.below(3000) as u32 - 1000,
        _ => SeqNum(rng.next_u32()),
    };
    let flags = match rng.below(8) {
        0 => Flags(rng.next_u32() as u16 & 0x1ff),
        1 => Flags::FIN.with(Flags::ACK),
        2 => Flags::RST,
        3 => Flags::SYN.with(Flags(rng.next_u32() as u16 & Flags::ACK.0)),
        _ => Flags::ACK,
    };
    let centers = [t.c.snd.una, t.c.snd.nxt, t.c.snd.end];
    let center = centers[rng.below(3) as usize];
    let stamp = Timestamps { value: 100 + rng.below(50) as u32, echo: rng.next_u32() };
    Segment {
        seq: near(rng, t.c.rcv.nxt),
        ack: near(rng, center),
        flags,
        window: [0, 1, 500, u16::MAX][rng.below(4) as usize],
        urgent: rng.next_u32() as u16,
        ecn: Codepoint::from_bits(rng.next_u32() as u8),
        options: Options {
            mss: rng.happens(0.5).then_some(rng.next_u32() as u16),
            window_shift: rng.happens(0.5).then(|| WindowShift::from_offer(rng.next_u32() as u8)),
            timestamps: rng.happens(0.7).then_some(stamp),
            sack_permitted: rng.happens(0.5),
        },
        rare,
        payload: &payload[..rng.below(payload.len() as u64 + 1) as usize],
    }
}

fn any_rare(rng: &mut Rng, t: &Script) -> RareOptions {
    RareOptions {
        sack: any_blocks(rng, t),
        user_timeout: UserTimeout::from_wire(rng.next_u32() as u16),
        accecn: rng.happens(0.3).then(|| ByteCounters {
            e0b: rng.happens(0.5).then(|| rng.next_u32() >> 8),
            ceb: rng.happens(0.5).then(|| rng.next_u32() >> 8),
            e1b: rng.happens(0.5).then(|| rng.next_u32() >> 8),
        }),
        fast_open: rng.happens(0.2).then(|| cookie(&[7; 8][..rng.below(9) as usize])),
    }
}

fn any_blocks(rng: &mut Rng, t: &Script) -> SackBlocks {
    let mut blocks = SackBlocks::EMPTY;
    for _ in 0..rng.below(6) {
        let near = t.c.snd.una + rng.below(6000) as u32 - 500;
        let left = if rng.happens(0.9) { near } else { SeqNum(rng.next_u32()) };
        blocks.push(left, left + rng.below(3000) as u32 - 20);
    }
    blocks
}

fn step(rng: &mut Rng, t: &mut Script) {
    let payload = [0; 1500];
    match rng.below(20) {
        0 => drop(t.writes(rng.below(5000) as u32)),
        1 => drop(t.discards(rng.below(5000) as usize)),
        2 if rng.happens(0.2) => drop(t.closes()),
        3 if rng.happens(0.1) => drop(t.closes_both()),
        4 if rng.happens(0.05) => drop(t.aborts()),
        5 => drop(t.path_error(PathError::TooBig(rng.below(2000) as u32), 0)),
        6 => {
            let seq = t.c.snd.una.distance_from(t.iss());
            t.path_error(PathError::TooBig(200 + rng.below(1500) as u32), seq);
        }
        7 | 8 => drop(t.after_ms(1 << rng.below(16))),
        _ => {
            let rare = any_rare(rng, t);
            let segment = any_segment(rng, t, &payload, &rare);
            let _ = t.receives_raw(&segment);
        }
    }
    t.sent();
}

fn drop<T>(_: T) {}

#[test]
fn arbitrary_segments_do_not_break_a_connection() {
    for seed in 0..1500 {
        let mut rng = Rng::new(seed);
        let mut settings = plain();
        settings.timestamps = rng.happens(0.5);
        settings.window_scaling = rng.happens(0.5);
        settings.nagle = rng.happens(0.5);
        settings.receive_buffer = 1 << rng.below(18);
        settings.keep_alive = rng.happens(0.5).then(Default::default);
        settings.ecn =
            [EcnPolicy::Passive, EcnPolicy::On, EcnPolicy::Accurate][rng.below(3) as usize];
        let (iss, irs) = (rng.next_u32(), rng.next_u32());
        let mut t = Script::open_at(settings, iss, irs);
        t.sends_syn();
        if rng.happens(0.8) {
            let ecn = Flags((rng.next_u32() as u16 & 7) << 6);
            let answer = syn().mss(1000).stamp(100, 0).shift(3).permits_sack().ack(1);
            let _ = t.receives(answer.flag(ecn));
            let _ = t.receives(data(1..50).stamp(100, 0));
        }
        for _ in 0..200 {
            step(&mut rng, &mut t);
            let (snd, rcv) = (&t.c.snd, &t.c.rcv);
            assert!(snd.una.at_or_before(snd.resend) && snd.resend.at_or_before(snd.resend_end));
            assert!(snd.resend_end.at_or_before(snd.nxt) && snd.nxt.at_or_before(snd.end + 1));
            assert!(rcv.nxt.at_or_before(rcv.edge), "seed {seed}");
        }
        t.aborts().is(Phase::Closed).sent();
        assert!(t.c.is_over());
        assert_eq!(t.pool.in_use(), 0, "seed {seed}");
    }
}

#[test]
fn unacknowledged_data_always_has_a_deadline() {
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let mut t = if seed % 2 == 0 { Script::established() } else { Script::selective() };
        for _ in 0..100 {
            step(&mut rng, &mut t);
            let waits = t.c.snd.outstanding() > 0 || t.c.snd.unsent() > 0 && t.c.phase().may_send();
            if waits && !t.c.phase().is_last() {
                assert!(t.c.poll_deadline().is_some(), "seed {seed}: {:?}", t.c);
            }
            t.after_ms(rng.below(50));
        }
    }
}
