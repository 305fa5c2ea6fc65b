//! The ladder as text.

use std::fmt::Write as _;

use linerate::wire::tcp::flag;

use super::follow::{Ladder, Step};

/// Columns between the two ends.
const WIDTH: usize = 64;

/// Of a long stretch of one part, so many segments are drawn at its start, and at its end.
const SHOWN: usize = 8;

/// Draws all segments, or the long stretches shortened.
pub fn draw(ladder: &Ladder, shows_all: bool) -> String {
    let mut out = String::new();
    let (left, right) = (ladder.left.to_string(), ladder.right.to_string());
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{:>12}  {left:<12}{:>pad$}", "", right, pad = WIDTH + 18 - extra(&left));
    row(&mut out, "", ladder.before.0.name(), &" ".repeat(WIDTH), ladder.before.1.name());
    for stretch in ladder.steps.chunk_by(|one, next| one.part == next.part) {
        heading(&mut out, ladder.heading(stretch[0].part));
        if shows_all || stretch.len() <= 3 * SHOWN {
            stretch.iter().for_each(|it| draw_step(&mut out, it));
            continue;
        }
        let (start, rest) = stretch.split_at(SHOWN);
        let (middle, end) = rest.split_at(rest.len() - SHOWN);
        start.iter().for_each(|it| draw_step(&mut out, it));
        row(&mut out, "", "", &format!("{:^WIDTH$}", summary(middle)), "");
        end.iter().for_each(|it| draw_step(&mut out, it));
    }
    out
}

/// How far a name reaches into the room between the ends.
fn extra(left: &str) -> usize {
    left.len().saturating_sub(12)
}

fn heading(out: &mut String, text: &str) {
    let line = format!("-- {text} ");
    row(out, "", "", &format!("{line:-<WIDTH$}"), "");
}

fn row(out: &mut String, time: &str, left: &str, between: &str, right: &str) {
    let line = format!("{time:>12}  {left:<12} |{between}| {right}");
    let _ = writeln!(out, "{}", line.trim_end());
}

fn draw_step(out: &mut String, step: &Step) {
    let time = format!("{:.3} ms", step.since_first_ns as f64 / 1e6);
    let label = label(step);
    let room = (WIDTH - 4).saturating_sub(label.chars().count());
    let between = if step.is_rightward {
        format!("- {label} {}>", "-".repeat(room + 1))
    } else {
        format!("<{} {label} -", "-".repeat(room + 1))
    };
    row(out, &time, step.left.name(), &between, step.right.name());
}

/// `PSH,ACK seq=1 ack=1 len=5 win=65535`.
pub fn label(step: &Step) -> String {
    let segment = &step.segment;
    let mut label = flags(segment.flags);
    let _ = write!(label, " seq={}", step.seq_relative);
    if segment.has(flag::SYN) {
        let _ = write!(label, " ({})", segment.seq);
    }
    if segment.has(flag::ACK) {
        let _ = write!(label, " ack={}", step.ack_relative);
        if segment.has(flag::SYN) {
            let _ = write!(label, " ({})", segment.ack);
        }
    }
    if segment.length > 0 {
        let _ = write!(label, " len={}", segment.length);
    }
    let _ = write!(label, " win={}", step.window);
    if step.is_again {
        label.push_str(" AGAIN");
    }
    if !segment.is_intact {
        label.push_str(" BAD SUM");
    }
    label
}

/// The options of a SYN, for those who draw with more room.
pub fn options(step: &Step) -> String {
    let segment = &step.segment;
    let mut words = Vec::new();
    words.extend(segment.mss.map(|mss| format!("mss={mss}")));
    words.extend(segment.window_shift.map(|shift| format!("wscale={shift}")));
    words.extend(segment.sack_permitted.then(|| "sack".to_owned()));
    words.extend(segment.timestamps.map(|(value, echo)| format!("ts={value}/{echo}")));
    words.join(" ")
}

/// The control bits by name, in the order that people say them.
pub fn flags(flags: u16) -> String {
    let names = [
        (flag::SYN, "SYN"),
        (flag::FIN, "FIN"),
        (flag::RST, "RST"),
        (flag::PSH, "PSH"),
        (flag::ACK, "ACK"),
        (flag::URG, "URG"),
        (flag::ECE, "ECE"),
        (flag::CWR, "CWR"),
        (flag::AE, "AE"),
    ];
    let set: Vec<&str> =
        names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "none".into() } else { set.join(",") }
}

/// What a stretch that is not drawn held.
pub fn summary(steps: &[Step]) -> String {
    let of = |is_rightward: bool| {
        let side = steps.iter().filter(move |it| it.is_rightward == is_rightward);
        side.fold((0u64, 0u64), |sum, it| (sum.0 + 1, sum.1 + u64::from(it.segment.length)))
    };
    let ((right, right_bytes), (left, left_bytes)) = (of(true), of(false));
    format!("... {right} segments, {right_bytes} bytes ->; {left}, {left_bytes} bytes <- ...")
}

#[cfg(test)]
mod tests {
    use super::super::follow::{follow, tests::echo};
    use super::*;

    #[test]
    fn the_ladder_shows_numbers_states_and_headings() {
        let text = draw(&follow(&echo()).expect("there are segments"), false);
        let lines: Vec<&str> = text.lines().collect();
        for words in [
            &["SYN seq=0 (100)", "SYN-SENT", "SYN-RECEIVED", ">|"][..],
            &["SYN,ACK seq=0 (900) ack=1 (101)", "ESTABLISHED", "|<"],
            &["three-way handshake"],
            &["half-close"],
            &["four-way teardown"],
            &["FIN,ACK seq=11 ack=12", "TIME-WAIT", "LAST-ACK"],
            &["CLOSED", "LISTEN"],
            &["10.0.0.1:1", "10.0.0.2:2"],
        ] {
            let found = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
            assert!(found, "{words:?} not in\n{text}");
        }
        let bars: std::collections::HashSet<_> =
            lines.iter().skip(1).filter_map(|line| line.find('|')).collect();
        assert_eq!(bars.len(), 1, "the ends stand upright\n{text}");
    }

    #[test]
    fn a_long_stretch_is_shortened_and_told() {
        let mut segments = echo();
        let data = segments[3].clone();
        for _ in 0..100 {
            segments.insert(3, data.clone());
        }
        let ladder = follow(&segments).expect("there are segments");
        assert!(draw(&ladder, false).contains("... 85 segments, 850 bytes ->"));
        assert!(draw(&ladder, true).lines().count() > 110);
    }
}
