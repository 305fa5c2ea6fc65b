//! Segment literals: of the peer, ours, and the expected ones. Sequence numbers are relative: 0 is
//! the SYN of the direction, 1 its first byte. Content follows from the position.

use core::ops::Range;

use crate::tcp::{
    ByteCounters, Codepoint, Cookie, FastOpen, Flags, Form, Options, RareOptions, SegmentOut,
    SeqNum, Timestamps, UserTimeout, WindowShift,
};
use crate::time::{Duration, Instant};

/// Returns the byte at `position` of a direction.
pub(super) fn content(position: u32) -> u8 {
    (position % 251) as u8
}

/// A segment from the peer.
#[derive(Clone, Debug)]
pub(super) struct In {
    pub(super) range: Option<Range<u32>>,
    pub(super) ack: Option<u32>,
    pub(super) flags: Flags,
    pub(super) window: Option<u16>,
    pub(super) urgent: u16,
    pub(super) ecn: Codepoint,
    pub(super) options: Options,
    pub(super) rare: RareOptions,
    pub(super) behind_syn: bool,
    pub(super) sack: Vec<Range<u32>>,
}

/// Returns a pure ACK of `n` at the peer's next sequence number.
pub(super) fn ack(n: u32) -> In {
    In {
        range: None,
        ack: Some(n),
        flags: Flags::ACK,
        window: None,
        urgent: 0,
        ecn: Codepoint::NotEct,
        options: Options::default(),
        rare: RareOptions::NONE,
        behind_syn: false,
        sack: Vec::new(),
    }
}

/// Returns data from the peer that repeats its last acknowledgment number.
pub(super) fn data(range: Range<u32>) -> In {
    In { range: Some(range), ack: None, ..ack(0) }
}

/// Returns a FIN at `seq`.
pub(super) fn fin(seq: u32) -> In {
    data(seq..seq).flag(Flags::FIN)
}

/// Returns a reset at `seq`.
pub(super) fn rst(seq: u32) -> In {
    In { flags: Flags::RST, ..data(seq..seq) }
}

/// Returns a SYN at 0.
pub(super) fn syn() -> In {
    In { flags: Flags::SYN, ..data(0..0) }
}

impl In {
    pub(super) fn ack(mut self, n: u32) -> Self {
        self.ack = Some(n);
        self.flag(Flags::ACK)
    }

    pub(super) fn no_ack(mut self) -> Self {
        self.flags = self.flags.without(Flags::ACK);
        self
    }

    pub(super) fn seq(mut self, seq: u32) -> Self {
        self.range = Some(seq..seq);
        self
    }

    /// Places the data behind the SYN of the same segment.
    pub(super) fn seq_of_syn(mut self) -> Self {
        self.behind_syn = true;
        self
    }

    pub(super) fn options(&self) -> Options {
        self.options
    }

    pub(super) fn flag(mut self, flag: Flags) -> Self {
        self.flags = self.flags.with(flag);
        self
    }

    pub(super) fn fin(self) -> Self {
        self.flag(Flags::FIN)
    }

    pub(super) fn urgent(mut self, pointer: u16) -> Self {
        self.urgent = pointer;
        self.flag(Flags::URG)
    }

    pub(super) fn window(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    pub(super) fn mss(mut self, mss: u16) -> Self {
        self.options.mss = Some(mss);
        self
    }

    pub(super) fn shift(mut self, shift: u8) -> Self {
        self.options.window_shift = Some(WindowShift::from_offer(shift));
        self
    }

    pub(super) fn permits_sack(mut self) -> Self {
        self.options.sack_permitted = true;
        self
    }

    /// Adds a SACK block, relative to our ISS.
    pub(super) fn sack(mut self, block: Range<u32>) -> Self {
        self.sack.push(block);
        self
    }

    /// Adds the user timeout option, in seconds.
    pub(super) fn user_timeout(mut self, seconds: u64) -> Self {
        self.rare.user_timeout = Some(UserTimeout::from_span(Duration::from_secs(seconds)));
        self
    }

    /// Sets the ECN codepoint of the packet.
    pub(super) fn came(mut self, codepoint: Codepoint) -> Self {
        self.ecn = codepoint;
        self
    }

    /// Sets AE, CWR and ECE as one number: the request or agreement of a SYN, otherwise the ACE
    /// field.
    pub(super) fn ace(self, field: u16) -> Self {
        self.flag(Flags(field << 6))
    }

    /// Adds the AccECN option.
    pub(super) fn counts(mut self, counters: ByteCounters) -> Self {
        self.rare.accecn = Some(counters);
        self
    }

    /// Adds the Fast Open option; without bytes it requests a cookie.
    pub(super) fn cookie(mut self, bytes: &[u8]) -> Self {
        self.rare.fast_open = Some(cookie(bytes));
        self
    }

    pub(super) fn stamp(mut self, value: u32, echo: u32) -> Self {
        self.options.timestamps = Some(Timestamps { value, echo });
        self
    }
}

/// Returns a Fast Open option in its assigned form; without bytes it requests a cookie.
pub(super) fn cookie(bytes: &[u8]) -> FastOpen {
    FastOpen { form: Form::Assigned, cookie: Cookie::new(bytes) }
}

/// A sent segment, in relative numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) ecn: Codepoint,
    pub(super) options: Options,
    pub(super) rare: RareOptions,
    pub(super) sack: Vec<Range<u32>>,
}

impl Sent {
    /// Returns AE, CWR and ECE as one number.
    pub(super) fn ace(&self) -> u16 {
        self.flags.0 >> 6 & 7
    }
}

/// An expected segment. Unset fields are not compared.
#[derive(Clone, Debug)]
pub(super) struct Out {
    range: Option<Range<u32>>,
    ack: Option<u32>,
    flags: Flags,
    window: Option<u16>,
    sack: Option<Vec<Range<u32>>>,
}

/// Expects data with ACK and optionally PSH.
pub(super) fn text(range: Range<u32>) -> Out {
    Out { range: Some(range), ack: None, flags: Flags::ACK, window: None, sack: None }
}

/// Expects a pure ACK of `n`.
pub(super) fn bare(n: u32) -> Out {
    Out { range: None, ack: Some(n), flags: Flags::ACK, window: None, sack: None }
}

impl From<Range<u32>> for Out {
    fn from(range: Range<u32>) -> Self {
        text(range)
    }
}

impl Out {
    pub(super) fn fin(mut self) -> Self {
        self.flags = self.flags.with(Flags::FIN);
        self
    }

    pub(super) fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    pub(super) fn ack(mut self, n: u32) -> Self {
        self.ack = Some(n);
        self
    }

    pub(super) fn at(mut self, seq: u32) -> Self {
        self.range = Some(seq..seq);
        self
    }

    pub(super) fn window(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    /// Expects exactly these blocks, relative to IRS.
    pub(super) fn sack<const N: usize>(mut self, blocks: [Range<u32>; N]) -> Self {
        self.sack = Some(blocks.to_vec());
        self
    }

    pub(super) fn check(&self, sent: &Sent) {
        assert_eq!(sent.flags.without(Flags::PSH), self.flags, "flags of {sent:?}");
        match &self.range {
            Some(range) => {
                assert_eq!((sent.seq, sent.seq + sent.len), (range.start, range.end), "{sent:?}");
            }
            None => assert_eq!(sent.len, 0, "no data expected in {sent:?}"),
        }
        if let Some(ack) = self.ack {
            assert_eq!(sent.ack, ack, "ack of {sent:?}");
        }
        if let Some(sack) = &self.sack {
            assert_eq!(&sent.sack, sack, "SACK of {sent:?}");
        }
        if let Some(window) = self.window {
            assert_eq!(sent.window, window, "window of {sent:?}");
        }
    }
}

/// Returns a sent segment with the initial sequence numbers subtracted.
pub(super) fn relative(out: &SegmentOut<'_>, iss: SeqNum, irs: SeqNum, at: Instant) -> Sent {
    Sent {
        at,
        seq: out.seq.distance_from(iss),
        len: out.payload_len() as u32,
        ack: if out.flags.ack() { out.ack.distance_from(irs) } else { 0 },
        flags: out.flags,
        window: out.window,
        urgent: out.urgent,
        ecn: out.ecn,
        options: out.options,
        rare: out.rare,
        sack: (out.rare.sack.as_slice().iter())
            .map(|(left, right)| left.distance_from(irs)..right.distance_from(irs))
            .collect(),
    }
}
