//! Sequences of probes. Their numbers are relative to the state that both ends know, so that one
//! sequence fits both stacks and one description fits one row of the table.

use std::fmt;

use linerate::rng::Rng;
use linerate::wire::tcp::flag;

/// A segment to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub flags: u16,
    /// Offset from the stack's RCV.NXT.
    pub seq: i64,
    /// Offset from the stack's SND.NXT. Used with the ACK bit.
    pub ack: i64,
    pub len: u32,
    pub window: u16,
    pub urgent: u16,
    pub timestamp: Timestamp,
}

/// The timestamp of a probe, if both ends have agreed to send timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timestamp {
    Fresh,
    Old,
    None,
}

/// A named list of probes.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub name: String,
    /// True if the SYN offers timestamps, SACK and window scaling.
    pub options: bool,
    pub probes: Vec<Probe>,
}

impl Sequence {
    /// Returns true for the sequence that only shows that a stack works.
    pub(crate) fn is_echo(&self) -> bool {
        self.name.starts_with("echo,")
    }
}

const fn probe(flags: u16) -> Probe {
    Probe { flags, seq: 0, ack: 0, len: 0, window: 60_000, urgent: 0, timestamp: Timestamp::Fresh }
}

const SYN: Probe = probe(flag::SYN);
const ACK: Probe = probe(flag::ACK);
const FIN: Probe = probe(flag::ACK | flag::FIN);
const RST: Probe = probe(flag::RST);

const fn data(len: u32) -> Probe {
    Probe { len, ..probe(flag::ACK | flag::PSH) }
}

impl Probe {
    const fn seq(self, seq: i64) -> Self {
        Self { seq, ..self }
    }
    const fn ack(self, ack: i64) -> Self {
        Self { ack, ..self }
    }
    const fn window(self, window: u16) -> Self {
        Self { window, ..self }
    }
    const fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }
    const fn timestamp(self, timestamp: Timestamp) -> Self {
        Self { timestamp, ..self }
    }
    const fn urgent(self, urgent: u16) -> Self {
        Self { urgent, flags: self.flags | flag::URG, ..self }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (flag::SYN, "syn"),
            (flag::FIN, "fin"),
            (flag::RST, "rst"),
            (flag::URG, "urg"),
            (flag::ACK, "ack"),
        ];
        let set = names.iter().filter(|(bit, _)| self.flags & bit != 0).map(|(_, name)| *name);
        let flags = set.collect::<Vec<_>>().join("+");
        write!(f, "{}", if flags.is_empty() { "none" } else { &flags })?;
        if self.seq != 0 {
            write!(f, " seq{:+}", self.seq)?;
        }
        if self.ack != 0 {
            write!(f, " ack{:+}", self.ack)?;
        }
        if self.len > 0 {
            write!(f, " len {}", self.len)?;
        }
        if self.window == 0 {
            write!(f, " win 0")?;
        }
        match self.timestamp {
            Timestamp::Fresh => Ok(()),
            Timestamp::Old => write!(f, " old stamp"),
            Timestamp::None => write!(f, " no stamp"),
        }
    }
}

/// Returns probes after a handshake, with and without options.
fn established(name: &str, probes: &[Probe]) -> [Sequence; 2] {
    [false, true].map(|options| Sequence {
        name: format!("{name}, {}", if options { "options" } else { "plain" }),
        options,
        probes: [&[SYN, ACK][..], probes].concat(),
    })
}

/// Returns probes from the first segment on.
fn raw(name: &str, probes: &[Probe]) -> [Sequence; 1] {
    [Sequence { name: name.to_owned(), options: false, probes: probes.to_vec() }]
}

/// Returns the hand-written sequences.
pub(crate) fn scripted() -> Vec<Sequence> {
    [in_listen(), in_syn_received(), acceptable(), unacceptable(), closing()].concat()
}

/// Segments that arrive in LISTEN.
fn in_listen() -> Vec<Sequence> {
    let none = 0;
    let mut all: Vec<Sequence> = Vec::new();
    all.extend(raw("nothing to LISTEN", &[probe(none)]));
    all.extend(raw("FIN to LISTEN", &[probe(flag::FIN)]));
    all.extend(raw("RST to LISTEN", &[RST]));
    all.extend(raw("ACK to LISTEN", &[ACK]));
    all.extend(raw("SYN-ACK to LISTEN", &[SYN.flags(flag::SYN | flag::ACK)]));
    all.extend(raw("FIN-ACK to LISTEN", &[FIN]));
    all.extend(raw("data to LISTEN", &[data(20)]));
    all.extend(raw("RST-ACK to LISTEN", &[probe(flag::RST | flag::ACK)]));
    all.extend(raw("SYN with FIN", &[SYN.flags(flag::SYN | flag::FIN)]));
    all.extend(raw("SYN with RST", &[SYN.flags(flag::SYN | flag::RST)]));
    all.extend(raw("SYN with URG", &[SYN.urgent(1)]));
    all.extend(raw("SYN with data", &[Probe { len: 20, ..SYN }, ACK, data(20)]));
    all
}

/// Segments that arrive in SYN-RECEIVED.
fn in_syn_received() -> Vec<Sequence> {
    let none = 0;
    let mut all: Vec<Sequence> = Vec::new();
    all.extend(raw("SYN retransmitted", &[SYN, SYN.seq(-1), ACK]));
    all.extend(raw("another SYN", &[SYN, SYN.seq(1000), ACK]));
    all.extend(raw("bad ACK of SYN-ACK", &[SYN, ACK.ack(1), ACK]));
    all.extend(raw("old ACK of SYN-ACK", &[SYN, ACK.ack(-1), ACK]));
    all.extend(raw("RST in SYN-RECEIVED", &[SYN, RST, ACK]));
    all.extend(raw("RST in the window of SYN-RECEIVED", &[SYN, RST.seq(10), ACK, data(1)]));
    all.extend(raw("FIN in SYN-RECEIVED", &[SYN, FIN, ACK]));
    all.extend(raw("data in SYN-RECEIVED", &[SYN, data(20), ACK]));
    all.extend(raw("data ahead in SYN-RECEIVED", &[SYN, data(20).seq(20), data(20), ACK]));
    all.extend(raw("SYN-ACK in SYN-RECEIVED", &[SYN, SYN.flags(flag::SYN | flag::ACK), ACK]));
    all.extend(raw("no ACK in SYN-RECEIVED", &[SYN, probe(none), ACK]));
    all
}

/// Acceptable segments in ESTABLISHED.
fn acceptable() -> Vec<Sequence> {
    let mut all: Vec<Sequence> = Vec::new();
    all.extend(established("echo", &[data(20), ACK, data(1), ACK]));
    all.extend(established("a hole is filled", &[data(20).seq(20), data(20), ACK]));
    all.extend(established("text retransmitted", &[data(20), ACK, data(20).seq(-20), ACK]));
    all.extend(established("text that overlaps", &[data(20), ACK, data(20).seq(-10), ACK]));
    all.extend(established("keep-alive probe", &[data(20), ACK, ACK.seq(-1)]));
    all.extend(established("keep-alive probe with a byte", &[data(20), ACK, data(1).seq(-1)]));
    all.extend(established("urgent", &[data(20).urgent(20), ACK, data(20), ACK]));
    all.extend(established("urgent ahead", &[data(20).urgent(100), ACK]));
    all.extend(established(
        "closed window",
        &[ACK.window(0), data(20).window(0), ACK.window(0), ACK],
    ));
    all
}

/// Other segments in ESTABLISHED.
fn unacceptable() -> Vec<Sequence> {
    let none = 0;
    let mut all: Vec<Sequence> = Vec::new();
    for seq in [-70_000, -1, 1, 10, 30_000, 70_000, 1 << 30] {
        all.extend(established(&format!("RST at {seq:+}"), &[RST.seq(seq), data(1)]));
        all.extend(established(&format!("SYN at {seq:+}"), &[SYN.seq(seq), data(1)]));
        all.extend(established(&format!("ACK at {seq:+}"), &[ACK.seq(seq), data(1)]));
        all.extend(established(&format!("data at {seq:+}"), &[data(20).seq(seq), data(1), ACK]));
        all.extend(established(&format!("FIN at {seq:+}"), &[FIN.seq(seq), data(1), ACK]));
    }
    all.extend(established("RST at RCV.NXT", &[RST, data(1)]));
    all.extend(established("RST-ACK", &[probe(flag::RST | flag::ACK), data(1)]));
    all.extend(established(
        "RST with a bad ACK",
        &[probe(flag::RST | flag::ACK).ack(5000), data(1)],
    ));
    all.extend(established("SYN at RCV.NXT", &[SYN, data(1)]));
    all.extend(established(
        "SYN-ACK retransmitted",
        &[SYN.flags(flag::SYN | flag::ACK).seq(-1), data(1)],
    ));
    for ack in [-200_000, -1, 1, 1000, 1 << 30] {
        all.extend(established(
            &format!("data with ACK {ack:+}"),
            &[data(20).ack(ack), data(1), ACK],
        ));
        all.extend(established(&format!("ACK {ack:+}"), &[ACK.ack(ack), data(1), ACK]));
    }
    all.extend(established("data without ACK", &[data(20).flags(flag::PSH), data(1)]));
    all.extend(established("no flags", &[probe(none), data(1)]));
    all.extend(established("FIN without ACK", &[probe(flag::FIN), data(1)]));
    all.extend(established(
        "old timestamp",
        &[data(20), ACK, data(20).timestamp(Timestamp::Old), ACK],
    ));
    all.extend(established(
        "old timestamp on a bare ACK",
        &[ACK.timestamp(Timestamp::Old), data(1)],
    ));
    all.extend(established("old timestamp on a RST", &[RST.timestamp(Timestamp::Old), data(1)]));
    all.extend(established(
        "missing timestamp",
        &[data(20).timestamp(Timestamp::None), ACK, data(1)],
    ));
    all
}

/// Segments from the first FIN on.
fn closing() -> Vec<Sequence> {
    let mut all: Vec<Sequence> = Vec::new();
    all.extend(established("close", &[FIN, ACK, ACK]));
    all.extend(established("data with FIN", &[Probe { len: 20, ..FIN }, ACK, ACK]));
    all.extend(established("FIN before its data", &[FIN.seq(20), data(20), ACK, ACK]));
    all.extend(established("FIN retransmitted", &[FIN, FIN.seq(-1).ack(-1), ACK]));
    all.extend(established("text past FIN", &[FIN, data(20), ACK]));
    all.extend(established("RST in LAST-ACK", &[FIN, RST, ACK]));
    all.extend(established("RST in the window of LAST-ACK", &[FIN, RST.seq(10), ACK]));
    all.extend(established("SYN in LAST-ACK", &[FIN, SYN, ACK]));
    all.extend(established("bad ACK in LAST-ACK", &[FIN, ACK.ack(1000), ACK]));
    all.extend(established("after the end", &[FIN, ACK, data(20), probe(flag::FIN), RST]));
    all.extend(established("a new SYN after the end", &[FIN, ACK, SYN.seq(100_000), ACK, data(1)]));
    all
}

/// Returns a random sequence.
pub(crate) fn random(seed: u64) -> Sequence {
    let mut rng = Rng::new(seed);
    let probes = (0..3 + rng.below(5)).map(|_| random_probe(&mut rng)).collect::<Vec<_>>();
    let [plain, options] = established(&format!("random {seed}"), &probes);
    if rng.happens(0.5) { plain } else { options }
}

fn random_probe(rng: &mut Rng) -> Probe {
    let offsets = [-70_000, -20, -1, 0, 0, 0, 1, 20, 30_000, 70_000];
    let seq = offsets[rng.below(10) as usize];
    let ack = [0, 0, 0, 0, 0, 0, -1, 1, 1000, -200_000][rng.below(10) as usize];
    let len = [0, 1, 20][rng.below(3) as usize];
    match rng.below(14) {
        0..=5 => data(20),
        6 | 7 => ACK,
        8 => data(len.max(1)).seq(seq).ack(ack),
        9 => ACK.seq(seq).ack(ack),
        10 => RST.seq(if seq == 0 { 1 } else { seq }),
        11 => SYN.seq(seq),
        12 => FIN.seq(seq).ack(ack),
        _ => data(20)
            .timestamp(if rng.happens(0.5) { Timestamp::Old } else { Timestamp::Fresh })
            .seq(seq),
    }
}
