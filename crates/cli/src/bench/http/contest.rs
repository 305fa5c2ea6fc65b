//! All runs, interleaved in rounds: each round measures every server with the same client.

use super::entry::{Client, Entry};
use super::outcome::Outcome;
use super::trial;
use super::wrk;
use crate::bench::trial::Conditions;
use crate::failure::Failure;
use crate::netns::interrupted;
use crate::stop::Stop;

/// The comparison of the servers.
pub(in crate::bench) struct Contest<'a> {
    /// Concurrent connections.
    pub concurrency: u64,
    /// Rounds per client.
    pub runs: usize,
    /// Conditions of all runs.
    pub conditions: &'a Conditions,
}

/// All runs of one client: by server in the order of [`Entry::ALL`], one entry per round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rounds(pub [Vec<Outcome>; 3]);

impl Rounds {
    /// Returns the runs of a server.
    pub(super) fn of(&self, server: Entry) -> &[Outcome] {
        &self.0[server as usize]
    }

    /// Returns the rates of a server.
    pub(super) fn rates(&self, server: Entry) -> Vec<f64> {
        self.of(server).iter().map(|run| run.requests_per_second).collect()
    }
}

/// The results.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::bench) struct Standings {
    /// Concurrent connections.
    pub(super) concurrency: u64,
    /// The runs by client in the order of [`Client::ALL`]; `None` for one that is not installed.
    pub(super) clients: [Option<Rounds>; 2],
}

impl Contest<'_> {
    /// Runs the comparison.
    ///
    /// # Errors
    /// When a run fails or a signal arrives.
    pub(in crate::bench) fn run(&self, stop: &Stop) -> Result<Standings, Failure> {
        let mut clients = [None, None];
        for (client, rounds) in Client::ALL.into_iter().zip(&mut clients) {
            if client == Client::Wrk && !wrk::is_installed() {
                eprintln!("hyper: wrk is not installed; its runs are left out");
                continue;
            }
            *rounds = Some(self.run_client(client, stop)?);
        }
        Ok(Standings { concurrency: self.concurrency, clients })
    }

    fn run_client(&self, client: Client, stop: &Stop) -> Result<Rounds, Failure> {
        let mut rounds = Rounds::default();
        for number in 1..=self.runs {
            for server in Entry::ALL {
                if stop.is_raised() {
                    return Err(interrupted());
                }
                let label = format!("hyper {}, {number}/{}", client.name(), self.runs);
                let run = trial::run(server, client, self.concurrency, self.conditions, stop)?;
                eprintln!(
                    "{label}: {} {:.0} requests per second, {} failed, {} dropped by the \
                     interfaces",
                    server.name(),
                    run.requests_per_second,
                    run.failed,
                    run.dropped,
                );
                rounds.0[server as usize].push(run);
            }
        }
        Ok(rounds)
    }
}
