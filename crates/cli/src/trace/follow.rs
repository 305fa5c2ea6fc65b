//! Follows one connection: states of both ends after each segment, and the parts of its life.

use std::net::SocketAddr;

use linerate::wire::tcp::flag;

use super::capture::Captured;
use super::state::{Endpoint, State};

/// A part of a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Until both ends are established.
    Handshake,
    /// Both directions are open.
    Data,
    /// One direction is closed, the other still carries data.
    HalfClose,
    /// FINs and their acknowledgements.
    Teardown,
    /// From a reset on.
    Reset,
}

/// One segment, understood.
#[derive(Clone, Debug)]
pub struct Step {
    /// As captured.
    pub segment: Captured,
    /// From the left end to the right one.
    pub is_rightward: bool,
    /// Nanoseconds since the first segment.
    pub since_first_ns: u64,
    /// SEG.SEQ less the sender's ISS.
    pub seq_relative: u32,
    /// SEG.ACK less the receiver's ISS.
    pub ack_relative: u32,
    /// The window in bytes, scaled where both ends have agreed to.
    pub window: u32,
    /// Data or a FIN that was sent before.
    pub is_again: bool,
    /// The left end's state after it.
    pub left: State,
    /// The right end's state after it.
    pub right: State,
    /// Which part of the connection's life it belongs to.
    pub part: Part,
}

/// A connection, from its first captured segment to its last.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// The end that opened, or that was heard first.
    pub left: SocketAddr,
    /// The other one.
    pub right: SocketAddr,
    /// The states before the first segment.
    pub before: (State, State),
    /// The segments.
    pub steps: Vec<Step>,
}

impl Ladder {
    /// What a part is called, after what it held.
    pub fn heading(&self, part: Part) -> &'static str {
        let fins = self.steps.iter().filter(|it| it.segment.has(flag::FIN) && !it.is_again);
        match part {
            Part::Handshake => {
                match self.steps.iter().filter(|it| it.segment.opens() && !it.is_again).count() {
                    2 => "simultaneous open",
                    _ => "three-way handshake",
                }
            }
            Part::Data => "data",
            Part::HalfClose => "half-close",
            Part::Teardown if fins.count() < 2 => "teardown",
            Part::Teardown => "four-way teardown",
            Part::Reset => "reset",
        }
    }
}

/// Follows the segments of one connection; `None` for none.
pub fn follow(segments: &[Captured]) -> Option<Ladder> {
    let first = segments.first()?;
    let opener = segments.iter().find(|it| it.has(flag::SYN)).unwrap_or(first);
    // A SYN-ACK is the answer to an opener that was not captured.
    let (left, right) = match opener.has(flag::SYN) && opener.has(flag::ACK) {
        true => (opener.dst, opener.src),
        false => (opener.src, opener.dst),
    };
    let before = match opener.has(flag::SYN) {
        true => (State::Closed, State::Listen),
        false => (State::Established, State::Established),
    };
    let mut ends = [Endpoint::new(before.0), Endpoint::new(before.1)];
    let shifts = window_shifts(segments, left);
    let mut steps: Vec<Step> =
        segments.iter().map(|segment| step(segment, first, left, &shifts, &mut ends)).collect();
    divide(&mut steps);
    Some(Ladder { left, right, before, steps })
}

/// RFC 7323 §2.2: windows are scaled only when both SYNs offered it. Left, then right.
fn window_shifts(segments: &[Captured], left: SocketAddr) -> [u8; 2] {
    let offer = |is_left: bool| {
        let mut syns = segments.iter().filter(|it| it.has(flag::SYN));
        syns.find(|it| (it.src == left) == is_left).and_then(|it| it.window_shift)
    };
    match (offer(true), offer(false)) {
        (Some(left), Some(right)) => [left.min(14), right.min(14)],
        _ => [0, 0],
    }
}

fn step(
    segment: &Captured,
    first: &Captured,
    left: SocketAddr,
    shifts: &[u8; 2],
    ends: &mut [Endpoint; 2],
) -> Step {
    let is_rightward = segment.src == left;
    let (from, to) = if is_rightward { (0, 1) } else { (1, 0) };
    let is_again = ends[from].has_sent(segment);
    ends[from].on_send(segment);
    // Of a capture that begins in mid-life, the first acknowledgement tells where the other end stands.
    if ends[to].iss.is_none() && segment.has(flag::ACK) {
        ends[to].iss = Some(segment.ack.wrapping_sub(1));
    }
    ends[to].on_receive(segment);
    let shift = if segment.has(flag::SYN) { 0 } else { shifts[from] };
    let relative = |number: u32, end: &Endpoint| number.wrapping_sub(end.iss.unwrap_or(number));
    let since_first = segment.at.saturating_sub(first.at).as_nanos();
    Step {
        is_rightward,
        since_first_ns: u64::try_from(since_first).unwrap_or(u64::MAX),
        seq_relative: relative(segment.seq, &ends[from]),
        ack_relative: if segment.has(flag::ACK) { relative(segment.ack, &ends[to]) } else { 0 },
        window: u32::from(segment.window) << shift,
        is_again,
        left: ends[0].state,
        right: ends[1].state,
        part: Part::Data,
        segment: segment.clone(),
    }
}

/// Tells the parts of the connection's life.
fn divide(steps: &mut [Step]) {
    let is_synchronizing =
        |state: State| matches!(state, State::Listen | State::SynSent | State::SynReceived);
    let handshake_end = match steps.first() {
        Some(first) if first.segment.has(flag::SYN) => steps
            .iter()
            .position(|it| !is_synchronizing(it.left) && !is_synchronizing(it.right))
            .map_or(steps.len(), |last| last + 1),
        _ => 0,
    };
    let reset = steps.iter().position(|it| it.segment.has(flag::RST)).unwrap_or(steps.len());
    let fin_of = |steps: &[Step], side: Option<bool>| {
        steps
            .iter()
            .position(|it| {
                it.segment.has(flag::FIN) && side.is_none_or(|it_is| it.is_rightward == it_is)
            })
            .unwrap_or(steps.len())
    };
    let first_fin = fin_of(steps, None);
    let closer = steps.get(first_fin).map(|it| it.is_rightward);
    let second_fin = fin_of(steps, closer.map(|side| !side));
    let is_half_closed = steps
        .iter()
        .take(second_fin + 1)
        .skip(first_fin + 1)
        .any(|it| it.segment.length > 0 && Some(it.is_rightward) != closer);
    for (index, step) in steps.iter_mut().enumerate() {
        step.part = if index >= reset {
            Part::Reset
        } else if index >= first_fin {
            if is_half_closed && index < second_fin { Part::HalfClose } else { Part::Teardown }
        } else if index < handshake_end {
            Part::Handshake
        } else {
            Part::Data
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::capture::tests::seg;
    use super::*;
    use State::*;
    use linerate::wire::tcp::flag::{ACK, FIN, PSH, RST, SYN};

    /// An open, an echo of what was sent before a half-close, a close.
    pub(crate) fn echo() -> Vec<Captured> {
        vec![
            seg(1, SYN, 100, 0, 0),
            seg(2, SYN | ACK, 900, 101, 0),
            seg(1, ACK, 101, 901, 0),
            seg(1, PSH | ACK, 101, 901, 10),
            seg(1, FIN | ACK, 111, 901, 0),
            seg(2, ACK, 901, 112, 0),
            seg(2, PSH | ACK, 901, 112, 10),
            seg(1, ACK, 112, 911, 0),
            seg(2, FIN | ACK, 911, 112, 0),
            seg(1, ACK, 112, 912, 0),
        ]
    }

    fn states(segments: &[Captured]) -> Vec<(State, State)> {
        let ladder = follow(segments).expect("there are segments");
        ladder.steps.iter().map(|it| (it.left, it.right)).collect()
    }

    #[test]
    fn both_ends_walk_through_figure_5() {
        assert_eq!(
            states(&echo()),
            [
                (SynSent, SynReceived),
                (Established, SynReceived),
                (Established, Established),
                (Established, Established),
                (FinWait1, CloseWait),
                (FinWait2, CloseWait),
                (FinWait2, CloseWait),
                (FinWait2, CloseWait),
                (TimeWait, LastAck),
                (TimeWait, Closed),
            ]
        );
    }

    #[test]
    fn the_parts_of_a_life_are_told_apart() {
        let parts: Vec<Part> =
            follow(&echo()).into_iter().flat_map(|it| it.steps).map(|it| it.part).collect();
        use Part::*;
        assert_eq!(
            parts,
            [
                Handshake, Handshake, Handshake, Data, HalfClose, HalfClose, HalfClose, HalfClose,
                Teardown, Teardown
            ]
        );
    }

    #[test]
    fn numbers_are_relative_to_the_initial_ones() {
        let steps = follow(&echo()).expect("there are segments").steps;
        let numbers: Vec<(u32, u32)> =
            steps.iter().map(|it| (it.seq_relative, it.ack_relative)).collect();
        assert_eq!(&numbers[..4], [(0, 0), (0, 1), (1, 1), (1, 1)]);
        assert_eq!(numbers[9], (12, 12));
    }

    #[test]
    fn fins_that_cross_lead_both_ends_through_closing() {
        let segments = [
            seg(1, FIN | ACK, 10, 50, 0),
            seg(2, FIN | ACK, 50, 10, 0),
            seg(1, ACK, 11, 51, 0),
            seg(2, ACK, 51, 11, 0),
        ];
        let seen = states(&segments);
        assert_eq!(seen[1], (Closing, Closing));
        assert_eq!(seen[3], (TimeWait, TimeWait));
    }

    #[test]
    fn a_joined_fin_and_ack_goes_straight_to_time_wait() {
        let segments =
            [seg(1, FIN | ACK, 10, 50, 0), seg(2, FIN | ACK, 50, 11, 0), seg(1, ACK, 11, 51, 0)];
        assert_eq!(
            states(&segments),
            [(FinWait1, CloseWait), (TimeWait, LastAck), (TimeWait, Closed)]
        );
    }

    #[test]
    fn a_fin_beyond_a_hole_counts_once_the_hole_is_filled() {
        let segments = [
            seg(1, ACK, 10, 50, 0),
            seg(1, FIN | ACK, 20, 50, 5),
            seg(2, ACK, 50, 10, 0),
            seg(1, ACK, 10, 50, 10),
            seg(2, ACK, 50, 26, 0),
        ];
        let seen = states(&segments);
        assert_eq!(seen[2], (FinWait1, Established));
        assert_eq!(seen[4], (FinWait2, CloseWait));
    }

    #[test]
    fn a_reset_closes_both_ends() {
        let mut segments = echo();
        segments.truncate(4);
        segments.push(seg(2, RST, 901, 0, 0));
        let ladder = follow(&segments).expect("there are segments");
        let last = ladder.steps.last().expect("there are segments");
        assert_eq!((last.left, last.right, last.part), (Closed, Closed, Part::Reset));
    }

    #[test]
    fn what_is_sent_twice_is_told() {
        let mut segments = echo();
        segments.insert(4, segments[3].clone());
        let again: Vec<usize> = follow(&segments)
            .into_iter()
            .flat_map(|it| it.steps)
            .enumerate()
            .filter(|(_, it)| it.is_again)
            .map(|(index, _)| index)
            .collect();
        assert_eq!(again, [4]);
    }
}
