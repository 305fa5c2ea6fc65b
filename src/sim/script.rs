//! What the two programs of a conversation do, as lists of steps, and what their bytes are.
//!
//! Each direction has content of its own, so that a byte out of place, or of another connection, is seen.

use crate::rng::Rng;
use crate::shard::SocketOption;
use crate::time::Duration;

/// What a program does next. Whatever the step, it reads as its [`Appetite`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes so many bytes.
    Write(u32),
    /// Writes so many bytes as urgent data.
    WriteUrgent(u32),
    /// Waits until so many bytes were read in all.
    Read(u32),
    /// Waits until the peer has closed and all was read.
    ReadToEnd,
    /// Sends back what it reads until the peer has closed and all is sent.
    Echo,
    /// Lets time pass.
    Wait(Duration),
    /// Chooses something for the connection.
    Choose(SocketOption),
    /// Closes its direction.
    Close,
    /// Closes both directions.
    CloseBoth,
    /// Closes both, and aborts after a while.
    CloseWithin(Duration),
    /// Resets the connection.
    Abort,
}

/// How a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// All there is, at once.
    Eager,
    /// At most so many bytes at a time, that often.
    Paced(u32, Duration),
}

/// What one program of a conversation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// In order.
    pub steps: Vec<Step>,
    /// How it reads meanwhile.
    pub appetite: Appetite,
}

/// The kinds of conversation that are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The opener sends, closes, and then has everything echoed.
    EchoHalfClosed,
    /// The opener has everything echoed, then closes.
    EchoThenClose,
    /// The other sends much and closes first.
    Chargen,
    /// The other sends one line and closes first.
    Daytime,
    /// Requests and responses in turn.
    Request,
    /// Both send at once and close when done.
    BothWays,
    /// Both close at the same moment, as far as the network lets them.
    CloseTogether,
    /// Nothing is sent.
    Silent,
    /// The opener resets the connection.
    OpenerAborts,
    /// The other resets it.
    OtherAborts,
    /// The opener closes both directions before the answer has come.
    ClosesBoth,
    /// The opener closes both directions with a deadline.
    ClosesBy,
}

impl Kind {
    /// All of them.
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

    /// Whether one of the ends may leave before all is said: the other then meets a reset.
    pub const fn may_break_off(self) -> bool {
        matches!(self, Self::OpenerAborts | Self::OtherAborts | Self::ClosesBoth | Self::ClosesBy)
    }

    /// What the opener does and what the other does, `most` bytes either way at most.
    pub fn draw(self, rng: &mut Rng, most: u32) -> [Script; 2] {
        let n = 1 + rng.below(most.into()) as u32;
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
                let m = 1 + rng.below(most.into()) as u32;
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
            steps: embellished(rng, steps),
            appetite: Appetite::draw(rng, most),
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

/// Now and then a pause before a step, a write that is urgent, a choice of the connection's own.
fn embellished(rng: &mut Rng, steps: Vec<Step>) -> Vec<Step> {
    let mut all = Vec::new();
    for step in steps {
        if rng.happens(0.1) {
            all.push(Step::Wait(Duration::from_micros(rng.below(400_000))));
        }
        if rng.happens(0.1) {
            all.push(Step::Choose(choice(rng)));
        }
        all.push(match step {
            Step::Write(n) if rng.happens(0.05) => Step::WriteUrgent(n),
            step => step,
        });
    }
    all
}

fn choice(rng: &mut Rng) -> SocketOption {
    match rng.below(5) {
        0 => SocketOption::Nagle(rng.happens(0.5)),
        1 => SocketOption::Cork(rng.happens(0.5)),
        2 => SocketOption::QuickAck(rng.happens(0.5)),
        3 => SocketOption::DiffServ(rng.below(64) as u8),
        _ => SocketOption::PacingRateMax(Some(100_000 + rng.below(10_000_000))),
    }
}

impl Appetite {
    fn draw(rng: &mut Rng, most: u32) -> Self {
        if rng.happens(0.7) {
            return Self::Eager;
        }
        // No more than about twenty helpings, so that the slowest reader is done in seconds.
        let bytes = most / 20 + 1 + rng.below(4000) as u32;
        Self::Paced(bytes, Duration::from_micros(1 + rng.below(300_000)))
    }
}

/// Byte `at` of what is said in a direction of a conversation.
pub(super) const fn content(direction: u32, at: u64) -> u8 {
    let mixed = (at as u32 ^ (direction << 7)).wrapping_mul(0x9e37_79b1);
    ((mixed >> 24) ^ direction) as u8
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
    fn what_is_shifted_or_of_another_direction_differs_somewhere() {
        let text = |direction, from: u64| (from..from + 64).map(move |at| content(direction, at));
        for shift in [1, 4, 256, 1000, 1448, 65_536] {
            assert!(!text(2, 0).eq(text(2, shift)), "{shift}");
        }
        assert!((0..50).all(|other| other == 2 || !text(2, 0).eq(text(other, 0))));
    }
}
