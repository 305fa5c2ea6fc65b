//! Congestion windows over time as SVG.

use std::fmt::Write;

use linerate::sim::{Bottleneck, Report};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 48.0;
/// Points per line: more would not be visible.
const POINTS: usize = 600;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1572b", "#2a8a4a", "#8250df"];

/// Plots every flow's congestion window in kilobytes, with a line at the bandwidth-delay product
/// and one where the queue is full.
pub(crate) fn windows(title: &str, bottleneck: &Bottleneck, report: &Report) -> String {
    let samples = || report.flows.iter().flat_map(|flow| &flow.samples);
    let seconds = samples().map(|sample| sample.at.as_secs_f64()).fold(1.0, f64::max);
    let full = bottleneck.bdp() as f64 * (1.0 + bottleneck.queue_bdp) / 1e3;
    // The first overshoot may be far above the rest.
    let most =
        samples().map(|sample| f64::from(sample.cwnd) / 1e3).fold(full, f64::max).min(full * 2.0);
    let x = |at: f64| MARGIN + at / seconds * (WIDTH - 2.0 * MARGIN);
    let y = |kilobytes: f64| {
        HEIGHT - MARGIN - (kilobytes / (most * 1.05)).min(1.0) * (HEIGHT - 2.0 * MARGIN)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\" font-size=\"13\">{title}</text>\n"
    );
    for (name, kilobytes) in [("BDP", bottleneck.bdp() as f64 / 1e3), ("BDP + queue", full)] {
        let (at, right) = (y(kilobytes), WIDTH - MARGIN);
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {at:.1}H{right}\" stroke=\"#999\" stroke-dasharray=\"4 3\"/>\
             <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{name}, {kilobytes:.0} kB</text>",
            at - 4.0
        );
    }
    axes(&mut svg, seconds, most, x, y);
    for (flow, colour) in report.flows.iter().zip(COLOURS) {
        let step = flow.samples.len().div_ceil(POINTS).max(1);
        let points: Vec<_> = flow
            .samples
            .iter()
            .step_by(step)
            .map(|sample| {
                format!("{:.1},{:.1}", x(sample.at.as_secs_f64()), y(f64::from(sample.cwnd) / 1e3))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, seconds: f64, most: f64, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    let bottom = y(0.0);
    let _ = writeln!(
        svg,
        "<path d=\"M{MARGIN} {MARGIN}V{bottom}H{}\" fill=\"none\" stroke=\"#333\"/>",
        WIDTH - MARGIN
    );
    for tick in (0..=seconds as usize).step_by(5) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick} s</text>",
            x(tick as f64),
            bottom + 16.0
        );
    }
    for part in [0.0, 0.5, 1.0] {
        let kilobytes = most * part;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{kilobytes:.0}</text>",
            MARGIN - 5.0,
            y(kilobytes) + 4.0
        );
    }
    let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"{}\">cwnd, kB</text>", MARGIN - 8.0);
}
