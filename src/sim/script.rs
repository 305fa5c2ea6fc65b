//! The scripts of a conversation: the steps of the programs at both ends, and the content of each
//! direction.
//!
//! Each direction has its own content, so that a misplaced byte, or one of another connection, is
//! detected.

use crate::rng::Rng;
use crate::shard::SocketOption;
use crate::time::Duration;

/// A step of a program. During every step it reads as its [`ReadPace`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Writes so many bytes.
    Write(u32),
    /// Writes so many bytes as urgent data.
    WriteUrgent(u32),
    /// Waits until so many bytes were read in total.
    Read(u32),
    /// Waits until the peer has closed and all was read.
    ReadToEnd,
    /// Sends back what it reads, until the peer has closed and all is sent.
    Echo,
    /// Pauses.
    Wait(Duration),
    /// Sets an option of the connection.
    SetOption(SocketOption),
    /// Closes its direction.
    Close,
    /// Closes both directions.
    CloseBoth,
    /// Closes both, and aborts after a while.
    CloseWithin(Duration),
    /// Resets the connection.
    Abort,
}

/// The pace at which a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadPace {
    /// Reads everything at once.
    Eager,
    /// Reads at most so many bytes per interval.
    Paced(u32, Duration),
}

/// The program at one end of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The pace of reading meanwhile.
    pub read_pace: ReadPace,
}

/// The kinds of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The opener sends, closes, and then receives the echo.
    EchoHalfClosed,
    /// The opener sends, receives the echo, then closes.
    EchoThenClose,
    /// The other side streams and closes first.
    Chargen,
    /// The other side sends one line and closes first.
    Daytime,
    /// Requests and responses in turn.
    Request,
    /// Both send at once and close when done.
    BothWays,
    /// Both close at the same moment, as far as the network permits.
    CloseTogether,
    /// Nothing is sent.
    Silent,
    /// The opener resets the connection.
    OpenerAborts,
    /// The other side resets it.
    OtherAborts,
    /// The opener closes both directions before the answer has arrived.
    ClosesBoth,
    /// The opener closes both directions with a deadline.
    ClosesBy,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::EchoHalfClosed,
        Self::EchoThenClose,
        Self::Chargen,
        Self::Daytime,
        Self::Request,
        Self::BothWays,
        Self::CloseTogether,
        Self::Silent,
        Self::OpenerAborts,
        Self::OtherAborts,
        Self::ClosesBoth,
        Self::ClosesBy,
    ];

    /// Returns true if one side may close before it has read everything: the other one then
    /// receives a reset.
    pub const fn may_end_early(self) -> bool {
        matches!(self, Self::OpenerAborts | Self::OtherAborts | Self::ClosesBoth | Self::ClosesBy)
    }

    /// Draws the scripts of the opener and of the other side, with at most `bytes_max` bytes in
    /// each direction.
    pub fn draw(self, rng: &mut Rng, bytes_max: u32) -> [Script; 2] {
        let n = 1 + rng.below(bytes_max.into()) as u32;
        let pause = Step::Wait(Duration::from_micros(rng.below(300_000)));
        let (close, end) = (Step::Close, Step::ReadToEnd);
        let (opener, other) = match self {
            Self::EchoHalfClosed => (vec![Step::Write(n), close, end], vec![Step::Echo, close]),
            Self::EchoThenClose => {
                (vec![Step::Write(n), Step::Read(n), close, end], vec![Step::Echo, close])
            }
            Self::Chargen => (vec![end, close], vec![Step::Write(n), close, end]),
            Self::Daytime => (vec![end, close], vec![Step::Write(7), close, end]),
            Self::Request => requests(rng, n),
            Self::BothWays => {
                let m = 1 + rng.below(bytes_max.into()) as u32;
                (vec![Step::Write(n), close, end], vec![Step::Write(m), pause, close, end])
            }
            Self::CloseTogether => {
                let steps = vec![Step::Write(8), Step::Read(8), close, end];
                (steps.clone(), steps)
            }
            Self::Silent => (vec![close, end], vec![end, close]),
            Self::OpenerAborts => {
                (vec![Step::Write(n), pause, Step::Abort], vec![Step::Echo, close])
            }
            Self::OtherAborts => {
                (vec![Step::Write(n), end, close], vec![Step::Read(n / 2), pause, Step::Abort])
            }
            Self::ClosesBoth => (vec![Step::Write(n), Step::CloseBoth], vec![Step::Echo, close]),
            Self::ClosesBy => {
                let within = Step::CloseWithin(Duration::from_millis(rng.below(2000)));
                (vec![Step::Write(n), within], vec![Step::Echo, close])
            }
        };
        [opener, other].map(|steps| Script {
            steps: vary(rng, steps),
            read_pace: ReadPace::draw(rng, bytes_max),
        })
    }
}

fn requests(rng: &mut Rng, n: u32) -> (Vec<Step>, Vec<Step>) {
    let rounds = 1 + rng.below(8) as u32;
    let (request, response) = (1 + rng.below(300) as u32, 1 + n / rounds);
    let (mut opener, mut other) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        opener.extend([Step::Write(request), Step::Read(response * round)]);
        other.extend([Step::Read(request * round), Step::Write(response)]);
    }
    opener.extend([Step::Close, Step::ReadToEnd]);
    other.extend([Step::ReadToEnd, Step::Close]);
    (opener, other)
}

/// Inserts pauses and options at random, and makes some writes urgent.
fn vary(rng: &mut Rng, steps: Vec<Step>) -> Vec<Step> {
    let mut all = Vec::new();
    for step in steps {
        if rng.happens(0.1) {
            all.push(Step::Wait(Duration::from_micros(rng.below(400_000))));
        }
        if rng.happens(0.1) {
            all.push(Step::SetOption(draw_option(rng)));
        }
        all.push(match step {
            Step::Write(n) if rng.happens(0.05) => Step::WriteUrgent(n),
            step => step,
        });
    }
    all
}

fn draw_option(rng: &mut Rng) -> SocketOption {
    match rng.below(5) {
        0 => SocketOption::Nagle(rng.happens(0.5)),
        1 => SocketOption::Cork(rng.happens(0.5)),
        2 => SocketOption::QuickAck(rng.happens(0.5)),
        3 => SocketOption::DiffServ(rng.below(64) as u8),
        _ => SocketOption::PacingRateMax(Some(100_000 + rng.below(10_000_000))),
    }
}

impl ReadPace {
    fn draw(rng: &mut Rng, bytes_max: u32) -> Self {
        if rng.happens(0.7) {
            return Self::Eager;
        }
        // About twenty portions at most, so that the slowest reader finishes within seconds.
        let bytes = bytes_max / 20 + 1 + rng.below(4000) as u32;
        Self::Paced(bytes, Duration::from_micros(1 + rng.below(300_000)))
    }
}

/// Returns byte `at` of a content stream. Each direction of a conversation has its own stream.
pub(crate) const fn content(stream: u32, at: u64) -> u8 {
    let mixed = (at as u32 ^ (stream << 7)).wrapping_mul(0x9e37_79b1);
    ((mixed >> 24) ^ stream) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_ends_in_a_close() {
        let mut rng = Rng::new(1);
        let ends = |step: &Step| {
            matches!(step, Step::Close | Step::CloseBoth | Step::CloseWithin(_) | Step::Abort)
        };
        for kind in Kind::ALL {
            for script in kind.draw(&mut rng, 10_000) {
                assert_eq!(script.steps.iter().filter(|step| ends(step)).count(), 1, "{kind:?}");
            }
        }
    }

    #[test]
    fn shifted_content_and_that_of_other_streams_differ() {
        let text = |stream, from: u64| (from..from + 64).map(move |at| content(stream, at));
        for shift in [1, 4, 256, 1000, 1448, 65_536] {
            assert!(!text(2, 0).eq(text(2, shift)), "{shift}");
        }
        assert!((0..50).all(|other| other == 2 || !text(2, 0).eq(text(other, 0))));
    }
}
