//! The TCP protocol, sans-IO: events in (`on_*`), output out (`poll_*`), time and randomness as
//! arguments. Knows no frames, addresses, cores or clocks.
//!
//! # Three kinds of connection
//!
//! | kind | states (RFC 9293 §3.3.2) | here |
//! |---|---|---|
//! | [`Embryo`] | SYN-RECEIVED of a passive open | `embryo` |
//! | [`Connection`] | SYN-SENT, SYN-RECEIVED of a simultaneous open, ESTABLISHED … LAST-ACK | `state` |
//! | [`TimeWait`] | TIME-WAIT | `time_wait` |
//!
//! LISTEN is the shard's listener. A flow in CLOSED has no entry.
//!
//! # Layers: types below, steps above
//!
//! | folder | |
//! |---|---|
//! | `segment`, `seq`, `settings`, `interface`, … | shared types |
//! | `buffer`, `scoreboard`, `ecn`, `fast_open`, `congestion`, `recovery::detect`, `flight` | components that know nothing of connections |
//! | `state` | the types inside a [`Connection`] |
//! | `open`, `arrive`, `receive`, `send`, `recovery`, `close`, `timers`, `options`, `bounds`, `urgent` | the processing steps |
//! | `calls`, `info` | the entry points for the shard and the program |
//!
//! # RFCs implemented
//!
//! RFC 9293 (the protocol), 7323 (window scale, timestamps, PAWS), 2018 and 2883 (SACK and D-SACK),
//! 6675 (the scoreboard and the pipe), 8985 (RACK-TLP), 9937 (proportional rate reduction), 3522,
//! 3708, 4015 and 5682 (undoing spurious reductions), 5681 and 6582 (congestion control, NewReno),
//! 3042 (limited transmit), 3465 (byte counting), 6298 (retransmission timer), 6928 (initial
//! window), 6691 (MSS and options), 5961 (blind attacks), 6528 (initial sequence numbers), 6093
//! (urgent data), 3168 and 9768 (ECN), 7413 (Fast Open), 5482 (user timeout), 5927 (ICMP), 1191 and
//! 8201 (path MTU), 4821 (path MTU search), 6191 and 1337 (TIME-WAIT), 2525 (known problems).
//!
//! # Deliberate deviations
//!
//! The deviations that shape the code. `docs/conformance.md` lists all of them, clause by clause.
//!
//! | the RFC | linerate | why |
//! |---|---|---|
//! | 9293 §3.10.7.4, table 6: a segment at the edge of the window, or over all of it, is unacceptable | its ACK, RST and FIN are processed, its text is trimmed | a peer that filled the window while a hole is open has no other sequence number to use; a FIN needs no buffer |
//! | 9293 §3.8.6: SND.WND covers the FIN | a bare FIN ignores the window | it serves as a probe, and an idle close needs no timer |
//! | 9293 §3.10.4: CLOSE in SYN-RECEIVED forms a FIN | the FIN waits for ESTABLISHED | only SYN processing needs to handle SYN-RECEIVED |
//! | 9293 §3.10.7.3: text on a SYN without ACK is queued | it is not acknowledged, the peer retransmits it | only a simultaneous open with data is affected |
//! | 6298 (2.4): RTO of 1 s at least | `Settings::rto_min`, 200 ms | common practice |
//! | 9293 §3.4.2: MSL of 2 minutes | `Settings::msl`, 30 s | common practice |

mod arrive;
mod bounds;
mod buffer;
mod calls;
mod close;
pub mod congestion;
mod cookie;
mod delivery;
mod ecn;
mod embryo;
mod fast_open;
mod flight;
mod info;
mod interface;
mod isn;
mod mss;
mod open;
mod options;
mod phase;
pub mod rate;
mod receive;
mod recovery;
mod rtt;
mod scoreboard;
mod segment;
mod send;
mod seq;
mod settings;
mod state;
mod time_wait;
mod timers;
mod urgent;
mod window;

#[cfg(test)]
mod tests;

pub use bounds::{MSS_BOUND_MIN, RECEIVE_BUFFER_MIN};
pub use buffer::{Accounts, BufferPool, RingBuffer};
pub use cookie::CookieJar;
pub use ecn::{ByteCounters, Codepoint, EcnMode, EcnPolicy};
pub use embryo::{CookieContent, Deferral, Embryo, EmbryoAnswer, EmbryoDeadline};
pub use fast_open::{Attempt, Cookie, CookieKeys, FastOpen, Form, Judgement, Outcome, SynData};
pub use interface::{CloseReason, Disposition, Env, Events, Info, Loss, PathError, Repairs};
pub use isn::{FlowSecrets, IsnGenerator, timestamp};
pub use phase::Phase;
pub use rtt::Rtt;
pub use segment::{
    Flags, Options, RareOptions, SackBlocks, Segment, SegmentOut, Timestamps, UserTimeout,
};
pub use send::Plan;
pub use seq::SeqNum;
pub use settings::{KeepAlive, MtuProbing, Settings};
pub use state::{Assembler, Connection, PathMtuEvent, PathSizes, TooManyHoles};
pub use time_wait::{REUSE_DELAY, TimeWait, TimeWaitAnswer};
pub use window::WindowShift;
