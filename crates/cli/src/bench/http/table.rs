//! The comparison of the servers as text.

use std::fmt::Write as _;

use super::contest::Standings;
use super::entry::Client;
use super::report::Row;

/// Formats the results.
pub(in crate::bench) fn text(standings: &Standings) -> String {
    let mut text = format!("hyper, {} concurrent\n", standings.concurrency);
    for (client, rounds) in Client::ALL.into_iter().zip(&standings.clients) {
        let Some(rounds) = rounds else {
            let _ = writeln!(text, "  {}: not installed", client.title());
            continue;
        };
        let _ = writeln!(
            text,
            "  {:<31} {:>9} {:>10} {:>9} {:>8} {:>8} {:>6} {:>6} {:>7}",
            client.title(),
            "min",
            "requests/s",
            "max",
            "p50 µs",
            "p99 µs",
            "times",
            "failed",
            "dropped",
        );
        for row in Row::all(rounds) {
            text += &of_row(&row);
        }
    }
    text += "  times: requests per second, divided by those of tokio in the same round (median)\n";
    text
}

fn of_row(row: &Row) -> String {
    let ratio = row.ratio.map(|it| format!("{:.2}", it.median)).unwrap_or_default();
    format!(
        "    {:<29} {:>9.0} {:>10.0} {:>9.0} {:>8.1} {:>8.1} {ratio:>6} {:>6} {:>7}\n",
        row.server.title(),
        row.spread.min,
        row.spread.median,
        row.spread.max,
        row.median.p50 / 1e3,
        row.median.p99 / 1e3,
        row.failed,
        row.dropped,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::http::report::tests::standings;

    #[test]
    fn every_server_has_a_row_and_a_missing_client_is_named() {
        let text = text(&standings());
        let row = |title: &str| {
            let line = text.lines().find(|line| line.contains(title)).expect("a row");
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let hyper = row("hyper on linerate");
        assert_eq!(hyper[3..], ["280", "300", "310", "5.0", "0.0", "2.00", "0", "0"]);
        assert!(row("hyper on tokio").contains(&"1.00".to_owned()));
        assert!(row("callbacks on linerate").contains(&"400".to_owned()));
        assert!(text.contains("wrk, kernel sockets: not installed"), "{text}");
    }
}
