//! The protocol, sans-IO: facts in (`on_*`), questions out (`poll_*`), time and randomness as
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
//! LISTEN is the shard's listener; CLOSED is no entry at all.
//!
//! # Types below, steps above
//!
//! | folder | |
//! |---|---|
//! | `segment`, `seq`, `settings`, `interface`, … | the vocabulary |
//! | `buffer`, `scoreboard`, `ecn`, `fast_open`, `congestion`, `recovery::detect`, `flight` | the parts: they do not know connections |
//! | `state` | the types that a [`Connection`] holds |
//! | `open`, `arrive`, `receive`, `send`, `recovery`, `close`, `timers`, `options`, `urgent` | the steps |
//! | `calls`, `info` | what the shard and the program call |
//!
//! # What is obeyed
//!
//! RFC 9293 (the protocol), 7323 (window scale, timestamps, PAWS), 2018 and 2883 (SACK and D-SACK), 6675
//! (the scoreboard and the pipe), 8985 (RACK-TLP), 9937 (proportional rate reduction), 3522, 3708, 4015 and
//! 5682 (what undoes a reduction), 5681 and 6582 (congestion control, NewReno), 3042 (limited transmit), 3465 (byte counting), 6298 (retransmission timer), 6928 (initial
//! window), 6691 (MSS and options), 5961 (blind attacks), 6528 (initial sequence numbers), 6093 (urgent
//! data), 3168 and 9768 (ECN), 7413 (Fast Open), 5482 (user timeout), 5927 (ICMP), 1191 and 8201 (path MTU), 4821 (its search), 6191 and 1337 (TIME-WAIT), 2525 (known problems).
//!
//! # Where we deviate, on purpose
//!
//! The deviations that shape the code; `docs/conformance.md` has all of them, clause by clause.
//!
//! | what the RFC says | what we do | why |
//! |---|---|---|
//! | 9293 §3.10.7.4, table 6: a segment at the edge of the window, or over all of it, is unacceptable | its ACK, RST and FIN are looked at, its text is trimmed | a peer that filled the window while a hole is open can use no other number; a FIN takes no buffer |
//! | 9293 §3.8.6: SND.WND covers the FIN | a FIN alone waits for no window | it serves as a probe, and an idle close needs no timer |
//! | 9293 §3.10.4: CLOSE in SYN-RECEIVED forms a FIN | it waits for ESTABLISHED | nothing but SYNs then needs to know about SYN-RECEIVED |
//! | 9293 §3.10.7.3: text on a SYN without ACK is queued | it is not acknowledged, the peer sends it again | only a simultaneous open with data can meet it |
//! | 6298 (2.4): RTO of 1 s at least | `Settings::rto_min`, 200 ms | as hosts do |
//! | 9293 §3.4.2: MSL of 2 minutes | `Settings::msl`, 30 s | as hosts do |

mod arrive;
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

pub use buffer::{Accounts, BufferPool, RingBuffer};
pub use cookie::CookieJar;
pub use ecn::{ByteCounters, Codepoint, EcnMode, EcnPolicy};
pub use embryo::{CookieContent, Embryo, EmbryoAnswer, EmbryoDeadline};
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
