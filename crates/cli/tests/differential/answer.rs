//! What a stack answered to a shot, without what may differ: its numbers, its clock, how it cuts and joins
//! segments, and what it sends again.

use std::fmt;

use linerate::wire::tcp::flag;

use super::sequences::Shot;
use super::wire::Heard;

/// An answer in words: two stacks that do the same have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub String);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Answer {
    /// Of what came after a shot that was sent with `(seq, ack)`; the stack had acknowledged `next` and sent
    /// up to `theirs` before.
    pub fn of(heard: &[Heard], shot: &Shot, sent: (u32, u32), next: u32, theirs: u32) -> Self {
        if let Some(reset) = heard.iter().find(|it| it.flags & flag::RST != 0) {
            return Self(reset_words(reset, shot, sent, theirs));
        }
        let mut words = Vec::new();
        if let Some(open) = heard.iter().find(|it| it.flags & flag::SYN != 0) {
            words.push(syn_ack_words(open, sent));
            let end = open.seq.wrapping_add(1);
            return Self(more(words, heard, open.ack, end));
        }
        Self(more(Vec::new(), heard, next, theirs))
    }
}

/// The ACK, the text and the FIN of the segments that are new.
fn more(mut words: Vec<String>, heard: &[Heard], next: u32, theirs: u32) -> String {
    let after = |it: &Heard| {
        let fin = u32::from(it.flags & flag::FIN != 0);
        it.seq.wrapping_add(it.len + fin).wrapping_sub(theirs) as i32
    };
    let is_again = |it: &&Heard| (it.len > 0 || it.flags & flag::FIN != 0) && after(it) <= 0;
    let new: Vec<_> =
        heard.iter().filter(|it| it.flags & flag::SYN == 0).filter(|it| !is_again(it)).collect();
    if let Some(last) = new.last() {
        words.push(format!("ack{:+}", last.ack.wrapping_sub(next) as i32));
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

fn syn_ack_words(open: &Heard, (seq, _): (u32, u32)) -> String {
    let mut options = vec![format!("mss {}", open.mss.unwrap_or(0))];
    let present =
        [(open.scales, "scale"), (open.permits_sack, "sack"), (open.stamp.is_some(), "stamp")];
    options.extend(present.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned()));
    let ack = open.ack.wrapping_sub(seq) as i32;
    format!("syn-ack of seq{ack:+} ({})", options.join(" "))
}

/// A reset, its numbers by where they come from.
fn reset_words(reset: &Heard, shot: &Shot, (seq, ack): (u32, u32), theirs: u32) -> String {
    let ends = u32::from(shot.flags & flag::SYN != 0) + u32::from(shot.flags & flag::FIN != 0);
    let number = match reset.seq {
        it if shot.flags & flag::ACK != 0 && it == ack => "seg.ack",
        0 => "0",
        it if it == theirs => "snd.nxt",
        _ => "another",
    };
    let acknowledges = match reset.ack {
        _ if reset.flags & flag::ACK == 0 => "",
        it if it == seq.wrapping_add(shot.len + ends) => " ack seg.end",
        _ => " ack another",
    };
    format!("rst seq {number}{acknowledges}")
}
