//! Draws the ladder as SVG 1.1: self-contained, with a white background.

use std::fmt::Write as _;

use super::follow::{Ladder, Section, Step};
use super::text;

const WIDTH: usize = 980;
const LEFT: usize = 250;
const RIGHT: usize = 790;
const TOP: usize = 70;
const ROW: usize = 30;

/// Vertical drop of an arrow from end to end: time runs downwards.
const SLANT: usize = 12;

/// Segments drawn at the start and at the end of a long section.
const SHOWN: usize = 20;

/// One row of the drawing.
enum Row<'a> {
    Heading(&'static str),
    Step(&'a Step),
    Omitted(String),
}

/// Draws the ladder.
pub(super) fn draw(ladder: &Ladder, shows_all: bool) -> String {
    let rows = rows(ladder, shows_all);
    let height = TOP + (rows.len() + 1) * ROW + 20;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"ui-monospace, monospace\" \
         font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#444\"/></marker>\
         </defs>\n"
    );
    for (x, name, state) in [
        (LEFT, ladder.left.to_string(), ladder.before.0),
        (RIGHT, ladder.right.to_string(), ladder.before.1),
    ] {
        write_text(&mut out, x, 30, "middle", "#000", &name);
        write_text(&mut out, x, 50, "middle", "#777", state.name());
        let _ = writeln!(
            out,
            "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{}\" stroke=\"#000\" \
             stroke-width=\"2\"/>",
            height - 20
        );
    }
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut out, TOP + (index + 1) * ROW, row);
    }
    out.push_str("</svg>\n");
    out
}

fn rows(ladder: &Ladder, shows_all: bool) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for section in ladder.steps.chunk_by(|one, next| one.section == next.section) {
        rows.push(Row::Heading(ladder.heading(section[0].section)));
        if shows_all || section.len() <= 3 * SHOWN {
            rows.extend(section.iter().map(Row::Step));
            continue;
        }
        let (start, rest) = section.split_at(SHOWN);
        let (middle, end) = rest.split_at(rest.len() - SHOWN);
        rows.extend(start.iter().map(Row::Step));
        rows.push(Row::Omitted(text::summary(middle)));
        rows.extend(end.iter().map(Row::Step));
    }
    rows
}

fn draw_row(out: &mut String, y: usize, row: &Row<'_>) {
    let middle = (LEFT + RIGHT) / 2;
    match row {
        Row::Heading(text) => {
            let _ = writeln!(
                out,
                "<line x1=\"20\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"#ccc\" \
                 stroke-dasharray=\"4 4\"/>",
                WIDTH - 20
            );
            write_text(out, 20, y - 5, "start", "#06c", text);
        }
        Row::Omitted(text) => write_text(out, middle, y, "middle", "#777", text),
        Row::Step(step) => draw_step(out, y, step),
    }
}

fn draw_step(out: &mut String, y: usize, step: &Step) {
    let (from, to) = if step.is_rightward { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
    let colour = match step.section {
        _ if step.is_retransmission || !step.segment.is_intact => "#c00",
        Section::Data => "#444",
        Section::Reset => "#c00",
        Section::Handshake | Section::HalfClose | Section::Teardown => "#060",
    };
    let bottom = y + SLANT;
    let _ = writeln!(
        out,
        "<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{bottom}\" stroke=\"{colour}\" \
         marker-end=\"url(#tip)\"><title>{}</title></line>",
        escape(&text::options(step))
    );
    write_text(out, (LEFT + RIGHT) / 2, y, "middle", colour, &text::label(step));
    let time = format!("{:.3} ms", step.since_first_ns as f64 / 1e6);
    write_text(out, 20, bottom, "start", "#777", &time);
    write_text(out, LEFT - 10, bottom, "end", "#000", step.left.name());
    write_text(out, RIGHT + 10, bottom, "start", "#000", step.right.name());
}

fn write_text(out: &mut String, x: usize, y: usize, anchor: &str, colour: &str, text: &str) {
    let text = escape(text);
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::follow::{follow, tests::echo};
    use super::*;

    #[test]
    fn the_drawing_has_one_arrow_per_segment_and_is_well_formed() {
        let svg = draw(&follow(&echo()).expect("the capture has segments"), false);
        assert_eq!(svg.matches("marker-end").count(), echo().len());
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("TIME-WAIT"));
    }
}
