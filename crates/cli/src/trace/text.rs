//! Draws the ladder as text.

use std::fmt::Write as _;

use linerate::wire::tcp::flag;

use super::follow::{Ladder, Step};

/// Columns between the two ends.
const WIDTH: usize = 64;

/// Segments drawn at the start and at the end of a long section.
const SHOWN: usize = 8;

/// Draws the ladder. Shortens long sections unless `shows_all` is set.
pub(super) fn draw(ladder: &Ladder, shows_all: bool) -> String {
    let mut out = String::new();
    let (left, right) = (ladder.left.to_string(), ladder.right.to_string());
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{:>12}  {left:<12}{:>pad$}", "", right, pad = WIDTH + 18 - extra(&left));
    row(&mut out, "", ladder.before.0.name(), &" ".repeat(WIDTH), ladder.before.1.name());
    for section in ladder.steps.chunk_by(|one, next| one.section == next.section) {
        heading(&mut out, ladder.heading(section[0].section));
        if shows_all || section.len() <= 3 * SHOWN {
            section.iter().for_each(|it| draw_step(&mut out, it));
            continue;
        }
        let (start, rest) = section.split_at(SHOWN);
        let (middle, end) = rest.split_at(rest.len() - SHOWN);
        start.iter().for_each(|it| draw_step(&mut out, it));
        row(&mut out, "", "", &format!("{:^WIDTH$}", summary(middle)), "");
        end.iter().for_each(|it| draw_step(&mut out, it));
    }
    out
}

/// Returns the number of columns by which the left name exceeds its field.
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

/// Formats a segment, as in `PSH,ACK seq=1 ack=1 len=5 win=65535`.
pub(super) fn label(step: &Step) -> String {
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
    if step.is_retransmission {
        label.push_str(" RETRANSMITTED");
    }
    if !segment.is_intact {
        label.push_str(" BAD CHECKSUM");
    }
    label
}

/// Formats the TCP options of a segment, for drawings with enough room.
pub(super) fn options(step: &Step) -> String {
    let segment = &step.segment;
    let mut words = Vec::new();
    words.extend(segment.mss.map(|mss| format!("mss={mss}")));
    words.extend(segment.window_shift.map(|shift| format!("wscale={shift}")));
    words.extend(segment.sack_permitted.then(|| "sack".to_owned()));
    words.extend(segment.timestamps.map(|(value, echo)| format!("ts={value}/{echo}")));
    words.join(" ")
}

/// Formats the control bits in their customary order, as in `SYN,ACK`.
pub(super) fn flags(flags: u16) -> String {
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

/// Summarizes segments that are not drawn.
pub(super) fn summary(steps: &[Step]) -> String {
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
        let text = draw(&follow(&echo()).expect("the capture has segments"), false);
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
        assert_eq!(bars.len(), 1, "the left line is vertical\n{text}");
    }

    #[test]
    fn a_long_section_is_shortened_with_a_summary() {
        let mut segments = echo();
        let data = segments[3].clone();
        for _ in 0..100 {
            segments.insert(3, data.clone());
        }
        let ladder = follow(&segments).expect("the capture has segments");
        assert!(draw(&ladder, false).contains("... 85 segments, 850 bytes ->"));
        assert!(draw(&ladder, true).lines().count() > 110);
    }
}
