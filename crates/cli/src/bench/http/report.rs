//! The object `hyper` of `bench --json` (a contract: keys and units).

use serde_json::{Map, Value, json};

use super::answer::RESPONSE;
use super::contest::{Rounds, Standings};
use super::entry::{Client, Entry};
use super::outcome::Outcome;
use crate::bench::stats::{Spread, median_index, ratios};

/// A server's results with one client.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Server.
    pub server: Entry,
    /// The run with the median rate.
    pub median: Outcome,
    /// Spread of the rates.
    pub spread: Spread,
    /// Spread of the ratios to tokio, round by round.
    pub ratio: Option<Spread>,
    /// Failures of all runs.
    pub failed: u64,
    /// Packets that the interfaces dropped in all runs.
    pub dropped: u64,
}

impl Row {
    /// Compares the servers of a client's rounds; a server without runs has no row.
    pub(super) fn all(rounds: &Rounds) -> Vec<Self> {
        Entry::ALL.into_iter().filter_map(|server| Self::of(rounds, server)).collect()
    }

    fn of(rounds: &Rounds, server: Entry) -> Option<Self> {
        let (runs, rates) = (rounds.of(server), rounds.rates(server));
        Some(Self {
            server,
            median: runs[median_index(&rates)?],
            spread: Spread::of(rates.iter().copied())?,
            ratio: Spread::of(ratios(&rates, &rounds.rates(Entry::Tokio))),
            failed: runs.iter().map(|run| run.failed).sum(),
            dropped: runs.iter().map(|run| run.dropped).sum(),
        })
    }
}

/// Builds the object. A client that is not installed is null.
pub(in crate::bench) fn json(standings: &Standings) -> Value {
    let mut object = Map::new();
    object.insert("concurrency".into(), standings.concurrency.into());
    object.insert("response_bytes".into(), RESPONSE.len().into());
    for (client, rounds) in Client::ALL.into_iter().zip(&standings.clients) {
        object.insert(client.name().into(), rounds.as_ref().map_or(Value::Null, of_client));
    }
    Value::Object(object)
}

fn of_client(rounds: &Rounds) -> Value {
    let rows = Row::all(rounds).into_iter();
    let entries = rows.map(|row| {
        let mut object = json!(row.median);
        object["spread"] = json!(row.spread);
        object["ratio_to_tokio"] = json!(row.ratio.map(|it| it.median));
        object["ratio_spread"] = json!(row.ratio);
        object["runs"] = json!(rounds.of(row.server));
        (row.server.name().to_owned(), object)
    });
    Value::Object(entries.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three rounds with `linerate load`, without wrk.
    pub(crate) fn standings() -> Standings {
        let runs = |rates: [f64; 3]| -> Vec<Outcome> {
            let run = |rate| Outcome { requests_per_second: rate, p50: 5e3, ..Outcome::default() };
            rates.map(run).to_vec()
        };
        let rounds = [[300.0, 280.0, 310.0], [150.0, 200.0, 100.0], [400.0, 400.0, 400.0]];
        Standings { concurrency: 16, clients: [Some(Rounds(rounds.map(runs))), None] }
    }

    #[test]
    fn ratios_compare_the_servers_of_the_same_round() {
        let report = json(&standings());
        assert_eq!(report["load"]["linerate"]["requests_per_second"], 300.0);
        assert_eq!(report["load"]["linerate"]["ratio_to_tokio"], 2.0);
        assert_eq!(report["load"]["linerate"]["ratio_spread"]["min"], 1.4);
        assert_eq!(report["load"]["tokio"]["ratio_to_tokio"], 1.0);
        assert_eq!(report["load"]["callbacks"]["runs"].as_array().map(Vec::len), Some(3));
        assert_eq!((&report["concurrency"], &report["response_bytes"]), (&json!(16), &json!(89)));
    }

    #[test]
    fn a_client_that_is_not_installed_is_null() {
        assert_eq!(json(&standings())["wrk"], Value::Null);
    }
}
