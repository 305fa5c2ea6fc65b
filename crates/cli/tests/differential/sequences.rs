//! What is played: shots whose numbers are relative to what both ends know, so that one sequence fits both
//! stacks and one description fits one explanation.

use std::fmt;

use linerate::rng::Rng;
use linerate::wire::tcp::flag;

/// A segment to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    pub flags: u16,
    /// From what the stack has acknowledged last.
    pub seq: i64,
    /// From what the stack has sent last, with the ACK bit.
    pub ack: i64,
    pub len: u32,
    pub window: u16,
    pub urgent: u16,
    pub stamp: Stamp,
}

/// Its timestamp, where both ends agreed to send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    Fresh,
    Old,
    None,
}

/// A few shots, and the answers to them.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub name: String,
    /// Whether the SYN offers timestamps, SACK and window scaling.
    pub options: bool,
    pub shots: Vec<Shot>,
}

impl Sequence {
    /// Whether it shows that a stack works at all.
    pub fn is_echo(&self) -> bool {
        self.name.starts_with("echo,")
    }
}

const fn shot(flags: u16) -> Shot {
    Shot { flags, seq: 0, ack: 0, len: 0, window: 60_000, urgent: 0, stamp: Stamp::Fresh }
}

const SYN: Shot = shot(flag::SYN);
const ACK: Shot = shot(flag::ACK);
const FIN: Shot = shot(flag::ACK | flag::FIN);
const RST: Shot = shot(flag::RST);

const fn data(len: u32) -> Shot {
    Shot { len, ..shot(flag::ACK | flag::PSH) }
}

impl Shot {
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
    const fn stamp(self, stamp: Stamp) -> Self {
        Self { stamp, ..self }
    }
    const fn urgent(self, urgent: u16) -> Self {
        Self { urgent, flags: self.flags | flag::URG, ..self }
    }
}

impl fmt::Display for Shot {
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
        match self.stamp {
            Stamp::Fresh => Ok(()),
            Stamp::Old => write!(f, " old stamp"),
            Stamp::None => write!(f, " no stamp"),
        }
    }
}

/// After a handshake, with and without options.
fn opened(name: &str, shots: &[Shot]) -> [Sequence; 2] {
    [false, true].map(|options| Sequence {
        name: format!("{name}, {}", if options { "options" } else { "plain" }),
        options,
        shots: [&[SYN, ACK][..], shots].concat(),
    })
}

/// From the first segment on.
fn raw(name: &str, shots: &[Shot]) -> [Sequence; 1] {
    [Sequence { name: name.to_owned(), options: false, shots: shots.to_vec() }]
}

/// Those written by hand.
pub fn scripted() -> Vec<Sequence> {
    let none = 0;
    let mut all: Vec<Sequence> = Vec::new();
    // What reaches LISTEN.
    all.extend(raw("nothing to LISTEN", &[shot(none)]));
    all.extend(raw("FIN to LISTEN", &[shot(flag::FIN)]));
    all.extend(raw("RST to LISTEN", &[RST]));
    all.extend(raw("ACK to LISTEN", &[ACK]));
    all.extend(raw("SYN-ACK to LISTEN", &[SYN.flags(flag::SYN | flag::ACK)]));
    all.extend(raw("FIN-ACK to LISTEN", &[FIN]));
    all.extend(raw("data to LISTEN", &[data(20)]));
    all.extend(raw("RST-ACK to LISTEN", &[shot(flag::RST | flag::ACK)]));
    all.extend(raw("SYN with FIN", &[SYN.flags(flag::SYN | flag::FIN)]));
    all.extend(raw("SYN with RST", &[SYN.flags(flag::SYN | flag::RST)]));
    all.extend(raw("SYN with URG", &[SYN.urgent(1)]));
    all.extend(raw("SYN with data", &[Shot { len: 20, ..SYN }, ACK, data(20)]));
    // What reaches SYN-RECEIVED.
    all.extend(raw("SYN again", &[SYN, SYN.seq(-1), ACK]));
    all.extend(raw("another SYN", &[SYN, SYN.seq(1000), ACK]));
    all.extend(raw("bad ACK of SYN-ACK", &[SYN, ACK.ack(1), ACK]));
    all.extend(raw("old ACK of SYN-ACK", &[SYN, ACK.ack(-1), ACK]));
    all.extend(raw("RST in SYN-RECEIVED", &[SYN, RST, ACK]));
    all.extend(raw("RST in the window of SYN-RECEIVED", &[SYN, RST.seq(10), ACK, data(1)]));
    all.extend(raw("FIN in SYN-RECEIVED", &[SYN, FIN, ACK]));
    all.extend(raw("data in SYN-RECEIVED", &[SYN, data(20), ACK]));
    all.extend(raw("data ahead in SYN-RECEIVED", &[SYN, data(20).seq(20), data(20), ACK]));
    all.extend(raw("SYN-ACK in SYN-RECEIVED", &[SYN, SYN.flags(flag::SYN | flag::ACK), ACK]));
    all.extend(raw("no ACK in SYN-RECEIVED", &[SYN, shot(none), ACK]));
    // ESTABLISHED: what fits.
    all.extend(opened("echo", &[data(20), ACK, data(1), ACK]));
    all.extend(opened("a hole is filled", &[data(20).seq(20), data(20), ACK]));
    all.extend(opened("text twice", &[data(20), ACK, data(20).seq(-20), ACK]));
    all.extend(opened("text that overlaps", &[data(20), ACK, data(20).seq(-10), ACK]));
    all.extend(opened("keep-alive probe", &[data(20), ACK, ACK.seq(-1)]));
    all.extend(opened("keep-alive probe with a byte", &[data(20), ACK, data(1).seq(-1)]));
    all.extend(opened("urgent", &[data(20).urgent(20), ACK, data(20), ACK]));
    all.extend(opened("urgent ahead", &[data(20).urgent(100), ACK]));
    all.extend(opened("closed window", &[ACK.window(0), data(20).window(0), ACK.window(0), ACK]));
    // What does not fit.
    for seq in [-70_000, -1, 1, 10, 30_000, 70_000, 1 << 30] {
        all.extend(opened(&format!("RST at {seq:+}"), &[RST.seq(seq), data(1)]));
        all.extend(opened(&format!("SYN at {seq:+}"), &[SYN.seq(seq), data(1)]));
        all.extend(opened(&format!("ACK at {seq:+}"), &[ACK.seq(seq), data(1)]));
        all.extend(opened(&format!("data at {seq:+}"), &[data(20).seq(seq), data(1), ACK]));
        all.extend(opened(&format!("FIN at {seq:+}"), &[FIN.seq(seq), data(1), ACK]));
    }
    all.extend(opened("RST at RCV.NXT", &[RST, data(1)]));
    all.extend(opened("RST-ACK", &[shot(flag::RST | flag::ACK), data(1)]));
    all.extend(opened("RST with a bad ACK", &[shot(flag::RST | flag::ACK).ack(5000), data(1)]));
    all.extend(opened("SYN at RCV.NXT", &[SYN, data(1)]));
    all.extend(opened("SYN-ACK again", &[SYN.flags(flag::SYN | flag::ACK).seq(-1), data(1)]));
    for ack in [-200_000, -1, 1, 1000, 1 << 30] {
        all.extend(opened(&format!("data with ACK {ack:+}"), &[data(20).ack(ack), data(1), ACK]));
        all.extend(opened(&format!("ACK {ack:+}"), &[ACK.ack(ack), data(1), ACK]));
    }
    all.extend(opened("data without ACK", &[data(20).flags(flag::PSH), data(1)]));
    all.extend(opened("no flags", &[shot(none), data(1)]));
    all.extend(opened("FIN without ACK", &[shot(flag::FIN), data(1)]));
    all.extend(opened("old timestamp", &[data(20), ACK, data(20).stamp(Stamp::Old), ACK]));
    all.extend(opened("old timestamp on a bare ACK", &[ACK.stamp(Stamp::Old), data(1)]));
    all.extend(opened("old timestamp on a RST", &[RST.stamp(Stamp::Old), data(1)]));
    all.extend(opened("missing timestamp", &[data(20).stamp(Stamp::None), ACK, data(1)]));
    // Closing.
    all.extend(opened("close", &[FIN, ACK, ACK]));
    all.extend(opened("data with FIN", &[Shot { len: 20, ..FIN }, ACK, ACK]));
    all.extend(opened("FIN before its data", &[FIN.seq(20), data(20), ACK, ACK]));
    all.extend(opened("FIN twice", &[FIN, FIN.seq(-1).ack(-1), ACK]));
    all.extend(opened("text past FIN", &[FIN, data(20), ACK]));
    all.extend(opened("RST in LAST-ACK", &[FIN, RST, ACK]));
    all.extend(opened("RST in the window of LAST-ACK", &[FIN, RST.seq(10), ACK]));
    all.extend(opened("SYN in LAST-ACK", &[FIN, SYN, ACK]));
    all.extend(opened("bad ACK in LAST-ACK", &[FIN, ACK.ack(1000), ACK]));
    all.extend(opened("after the end", &[FIN, ACK, data(20), shot(flag::FIN), RST]));
    all.extend(opened("a new SYN after the end", &[FIN, ACK, SYN.seq(100_000), ACK, data(1)]));
    all
}

/// One that is drawn.
pub fn drawn(seed: u64) -> Sequence {
    let mut rng = Rng::new(seed);
    let shots = (0..3 + rng.below(5)).map(|_| draw(&mut rng)).collect::<Vec<_>>();
    let [plain, options] = opened(&format!("drawn {seed}"), &shots);
    if rng.happens(0.5) { plain } else { options }
}

fn draw(rng: &mut Rng) -> Shot {
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
        _ => data(20).stamp(if rng.happens(0.5) { Stamp::Old } else { Stamp::Fresh }).seq(seq),
    }
}
