//! Follows one connection: the states of both ends after each segment, and the sections of the
//! ladder.

use std::net::SocketAddr;

use linerate::tcp::Phase;
use linerate::wire::tcp::flag;

use super::capture::Captured;
use super::state::{Endpoint, State};

/// A section of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Up to the segment after which both ends are established.
    Handshake,
    /// Both directions open.
    Data,
    /// One direction closed, data in the other.
    HalfClose,
    /// FINs and their acknowledgments.
    Teardown,
    /// The first reset and everything after it.
    Reset,
}

/// One segment of the ladder, with the inferred states.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The captured segment.
    pub segment: Captured,
    /// True from left to right.
    pub is_rightward: bool,
    /// Nanoseconds since the first segment.
    pub since_first_ns: u64,
    /// SEG.SEQ minus the sender's ISS.
    pub seq_relative: u32,
    /// SEG.ACK minus the receiver's ISS.
    pub ack_relative: u32,
    /// Window in bytes, scaled if both ends offered window scaling.
    pub window: u32,
    /// True if all of its data, SYN and FIN were sent before.
    pub is_retransmission: bool,
    /// State of the left end after the segment.
    pub left: State,
    /// State of the right end after the segment.
    pub right: State,
    /// Section that the segment belongs to.
    pub section: Section,
}

/// A connection, from its first captured segment to its last.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    /// The end that opened the connection, or that sent the first captured segment.
    pub left: SocketAddr,
    /// The other end.
    pub right: SocketAddr,
    /// States of left and right end before the first segment.
    pub before: (State, State),
    /// The segments.
    pub steps: Vec<Step>,
}

impl Ladder {
    /// Returns the heading of a section.
    pub(super) fn heading(&self, section: Section) -> &'static str {
        let first_sent = || self.steps.iter().filter(|it| !it.is_retransmission);
        let syns = first_sent().filter(|it| it.segment.opens()).count();
        let fins = first_sent().filter(|it| it.segment.has(flag::FIN)).count();
        match section {
            Section::Handshake if syns == 2 => "simultaneous open",
            Section::Handshake => "three-way handshake",
            Section::Data => "data",
            Section::HalfClose => "half-close",
            Section::Teardown if fins < 2 => "teardown",
            Section::Teardown => "four-way teardown",
            Section::Reset => "reset",
        }
    }
}

/// Follows the segments of one connection. Returns `None` without segments.
pub(super) fn follow(segments: &[Captured]) -> Option<Ladder> {
    let first = segments.first()?;
    let opener = segments.iter().find(|it| it.has(flag::SYN)).unwrap_or(first);
    // If the capture begins with a SYN-ACK, its receiver opened the connection.
    let (left, right) = match opener.has(flag::SYN) && opener.has(flag::ACK) {
        true => (opener.dst, opener.src),
        false => (opener.src, opener.dst),
    };
    let before = match opener.has(flag::SYN) {
        true => (State::In(Phase::Closed), State::Listen),
        false => (State::In(Phase::Established), State::In(Phase::Established)),
    };
    let mut ends = [Endpoint::new(before.0), Endpoint::new(before.1)];
    let shifts = window_shifts(segments, left);
    let mut steps: Vec<Step> =
        segments.iter().map(|segment| step(segment, first, left, &shifts, &mut ends)).collect();
    assign_sections(&mut steps);
    Some(Ladder { left, right, before, steps })
}

/// Returns the window shifts of left and right end. RFC 7323 §2.2: windows are scaled only if both
/// SYNs carry the option.
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
    let is_retransmission = ends[from].has_sent(segment);
    ends[from].on_send(segment);
    // If the capture begins after the handshake, take the first ACK as the other end's position.
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
        is_retransmission,
        left: ends[0].state,
        right: ends[1].state,
        section: Section::Data,
        segment: segment.clone(),
    }
}

/// Sets the section of each step.
fn assign_sections(steps: &mut [Step]) {
    let is_synchronizing = |state: State| {
        matches!(state, State::Listen | State::In(Phase::SynSent | Phase::SynReceived))
    };
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
        step.section = if index >= reset {
            Section::Reset
        } else if index >= first_fin {
            if is_half_closed && index < second_fin {
                Section::HalfClose
            } else {
                Section::Teardown
            }
        } else if index < handshake_end {
            Section::Handshake
        } else {
            Section::Data
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::capture::tests::seg;
    use super::*;
    use Phase::*;
    use linerate::wire::tcp::flag::{ACK, FIN, PSH, RST, SYN};

    /// Returns a connection that opens, sends, half-closes, receives the echo and closes.
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

    fn states(segments: &[Captured]) -> Vec<(Phase, Phase)> {
        let ladder = follow(segments).expect("the capture has segments");
        let phase = |state: State| match state {
            State::In(phase) => phase,
            State::Listen => panic!("after a segment no end is in LISTEN"),
        };
        ladder.steps.iter().map(|it| (phase(it.left), phase(it.right))).collect()
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
    fn each_segment_is_assigned_to_its_section() {
        let sections: Vec<Section> =
            follow(&echo()).into_iter().flat_map(|it| it.steps).map(|it| it.section).collect();
        use Section::*;
        assert_eq!(
            sections,
            [
                Handshake, Handshake, Handshake, Data, HalfClose, HalfClose, HalfClose, HalfClose,
                Teardown, Teardown
            ]
        );
    }

    #[test]
    fn numbers_are_relative_to_the_initial_sequence_numbers() {
        let steps = follow(&echo()).expect("the capture has segments").steps;
        let numbers: Vec<(u32, u32)> =
            steps.iter().map(|it| (it.seq_relative, it.ack_relative)).collect();
        assert_eq!(&numbers[..4], [(0, 0), (0, 1), (1, 1), (1, 1)]);
        assert_eq!(numbers[9], (12, 12));
    }

    #[test]
    fn crossing_fins_lead_both_ends_through_closing() {
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
    fn a_fin_with_the_ack_of_our_fin_leads_straight_to_time_wait() {
        let segments =
            [seg(1, FIN | ACK, 10, 50, 0), seg(2, FIN | ACK, 50, 11, 0), seg(1, ACK, 11, 51, 0)];
        assert_eq!(
            states(&segments),
            [(FinWait1, CloseWait), (TimeWait, LastAck), (TimeWait, Closed)]
        );
    }

    #[test]
    fn a_fin_beyond_a_hole_takes_effect_once_the_hole_is_filled() {
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
        let ladder = follow(&segments).expect("the capture has segments");
        let last = ladder.steps.last().expect("the capture has segments");
        assert_eq!((last.left, last.right), (State::In(Closed), State::In(Closed)));
        assert_eq!(last.section, Section::Reset);
    }

    #[test]
    fn a_retransmission_is_recognized() {
        let mut segments = echo();
        segments.insert(4, segments[3].clone());
        let retransmissions: Vec<usize> = follow(&segments)
            .into_iter()
            .flat_map(|it| it.steps)
            .enumerate()
            .filter(|(_, it)| it.is_retransmission)
            .map(|(index, _)| index)
            .collect();
        assert_eq!(retransmissions, [4]);
    }
}
