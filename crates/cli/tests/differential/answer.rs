//! Describes the answer of a stack to a probe, without what may differ: absolute numbers, clock,
//! segment boundaries and retransmissions.

use std::fmt;

use linerate::wire::tcp::flag;

use super::sequences::Probe;
use super::wire::Reply;

/// The description of an answer. Equal for two stacks that behave alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer(pub String);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Answer {
    /// Describes `replies` to a probe that was sent with `(seq, ack)`. `rcv_nxt` and `snd_nxt` are
    /// those of the stack before the probe.
    pub(crate) fn of(
        replies: &[Reply],
        probe: &Probe,
        sent: (u32, u32),
        rcv_nxt: u32,
        snd_nxt: u32,
    ) -> Self {
        if let Some(reset) = replies.iter().find(|it| it.flags & flag::RST != 0) {
            return Self(describe_reset(reset, probe, sent, snd_nxt));
        }
        let mut words = Vec::new();
        if let Some(open) = replies.iter().find(|it| it.flags & flag::SYN != 0) {
            words.push(describe_syn_ack(open, sent));
            let end = open.seq.wrapping_add(1);
            return Self(describe_new(words, replies, open.ack, end));
        }
        Self(describe_new(Vec::new(), replies, rcv_nxt, snd_nxt))
    }
}

/// Appends the ACK, the text and the FIN of the segments that are not retransmissions.
fn describe_new(mut words: Vec<String>, replies: &[Reply], rcv_nxt: u32, snd_nxt: u32) -> String {
    let after = |it: &Reply| {
        let fin = u32::from(it.flags & flag::FIN != 0);
        it.seq.wrapping_add(it.len + fin).wrapping_sub(snd_nxt) as i32
    };
    let is_retransmission =
        |it: &&Reply| (it.len > 0 || it.flags & flag::FIN != 0) && after(it) <= 0;
    let new: Vec<_> = replies
        .iter()
        .filter(|it| it.flags & flag::SYN == 0)
        .filter(|it| !is_retransmission(it))
        .collect();
    if let Some(last) = new.last() {
        words.push(format!("ack{:+}", last.ack.wrapping_sub(rcv_nxt) as i32));
        let fin = new.iter().any(|it| it.flags & flag::FIN != 0);
        let text = new.iter().map(|it| after(it)).max().unwrap_or(0) - i32::from(fin);
        if text > 0 {
            words.push(format!("text {text}"));
        }
        if fin {
            words.push("fin".to_owned());
        }
        if last.window == 0 {
            words.push("win 0".to_owned());
        }
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn describe_syn_ack(open: &Reply, (seq, _): (u32, u32)) -> String {
    let mut options = vec![format!("mss {}", open.mss.unwrap_or(0))];
    let present =
        [(open.scales, "scale"), (open.permits_sack, "sack"), (open.timestamp.is_some(), "stamp")];
    options
        .extend(present.iter().filter(|(present, _)| *present).map(|(_, name)| (*name).to_owned()));
    let ack = open.ack.wrapping_sub(seq) as i32;
    format!("syn-ack of seq{ack:+} ({})", options.join(" "))
}

/// Describes a reset, with the origin of its numbers.
fn describe_reset(reset: &Reply, probe: &Probe, (seq, ack): (u32, u32), snd_nxt: u32) -> String {
    let syn_fin = u32::from(probe.flags & flag::SYN != 0) + u32::from(probe.flags & flag::FIN != 0);
    let number = match reset.seq {
        it if probe.flags & flag::ACK != 0 && it == ack => "seg.ack",
        0 => "0",
        it if it == snd_nxt => "snd.nxt",
        _ => "another",
    };
    let acknowledges = match reset.ack {
        _ if reset.flags & flag::ACK == 0 => "",
        it if it == seq.wrapping_add(probe.len + syn_fin) => " ack seg.end",
        _ => " ack another",
    };
    format!("rst seq {number}{acknowledges}")
}
