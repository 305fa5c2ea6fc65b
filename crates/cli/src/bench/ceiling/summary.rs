//! The ceiling of a whole benchmark: medians over all rounds.

use serde::Serialize;

use super::exchange::ExchangeResult;
use super::measure::{BATCHES, CeilingConfig, Measurement, SEGMENTS, SEGMENTS_JOINED};
use crate::bench::stats::Spread;
use crate::bench::testbed::Drops;
use crate::load::{Percentiles, latencies};

/// Raw echo with one batch size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Echo {
    /// Frames in flight, and maximum frames per turn.
    pub batch: usize,
    /// Median over all rounds.
    pub round_trips_per_second: f64,
    /// Spread over all rounds.
    pub spread: Spread,
    /// Lost frames.
    pub lost: u64,
    /// Round-trip latency in nanoseconds.
    pub latency: Option<Percentiles>,
}

/// The stateless exchange.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Exchange {
    /// Segments per connection.
    pub segments: u8,
    /// Connections in flight.
    pub concurrency: u16,
    /// Median over all rounds.
    pub connections_per_second: f64,
    /// Spread over all rounds.
    pub spread: Spread,
    /// Connections abandoned because a segment was lost.
    pub lost: u64,
}

/// The object `ceiling` of the JSON contract.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ceiling {
    /// Attach mode of the XDP program and bind mode of the sockets.
    pub attachment: String,
    /// Echo results by batch size.
    pub echo: Vec<Echo>,
    /// Exchange of seven segments per connection.
    #[serde(flatten)]
    pub exchange: Exchange,
    /// Exchange of five segments per connection: both FINs piggybacked on ACKs.
    pub joined: Exchange,
    /// Total drops of interfaces and sockets.
    pub drops: Drops,
}

impl Measurement {
    /// Returns the connections per second of the exchange of seven segments.
    pub(crate) fn connections_per_second(&self) -> f64 {
        self.exchange.per_second()
    }

    /// Returns the connections per second of an exchange of `segments` segments. Interpolates the
    /// time per connection linearly between the two measured exchanges.
    pub(crate) fn connections_per_second_in(&self, segments: f64) -> f64 {
        let (seven, five) = (1.0 / self.exchange.per_second(), 1.0 / self.joined.per_second());
        let each = (seven - five) / f64::from(SEGMENTS - SEGMENTS_JOINED);
        1.0 / (five + each * (segments - f64::from(SEGMENTS_JOINED)).max(0.0))
    }

    /// Returns the round trips per second of the largest batch size with at most `in_flight`
    /// frames.
    pub(crate) fn round_trips_per_second(&self, in_flight: u64) -> f64 {
        let fitting = BATCHES.iter().rposition(|batch| *batch as u64 <= in_flight).unwrap_or(0);
        self.rate(fitting)
    }

    fn rate(&self, index: usize) -> f64 {
        let echo = &self.echoes[index];
        echo.round_trips as f64 / echo.span.as_secs_f64()
    }
}

impl Ceiling {
    /// Combines all rounds; `None` without rounds.
    pub(crate) fn of(config: &CeilingConfig, rounds: &[Measurement]) -> Option<Self> {
        let mut drops = Drops::default();
        rounds.iter().for_each(|it| drops.add(&it.drops));
        Some(Self {
            attachment: rounds.first()?.attachment.clone(),
            echo: (0..BATCHES.len()).filter_map(|index| echo(index, rounds)).collect(),
            exchange: exchange(config, SEGMENTS, rounds.iter().map(|it| &it.exchange))?,
            joined: exchange(config, SEGMENTS_JOINED, rounds.iter().map(|it| &it.joined))?,
            drops,
        })
    }
}

fn exchange<'a>(
    config: &CeilingConfig,
    segments: u8,
    rounds: impl Iterator<Item = &'a ExchangeResult> + Clone,
) -> Option<Exchange> {
    let spread = Spread::of(rounds.clone().map(ExchangeResult::per_second))?;
    Some(Exchange {
        segments,
        concurrency: config.concurrency,
        connections_per_second: spread.median,
        spread,
        lost: rounds.map(|it| it.lost).sum(),
    })
}

fn echo(index: usize, rounds: &[Measurement]) -> Option<Echo> {
    let spread = Spread::of(rounds.iter().map(|it| it.rate(index)))?;
    let mut all = latencies();
    for time in rounds {
        all.add(&time.echoes[index].latencies).expect("all histograms have the same bounds");
    }
    Some(Echo {
        batch: BATCHES[index],
        round_trips_per_second: spread.median,
        spread,
        lost: rounds.iter().map(|it| it.echoes[index].lost).sum(),
        latency: Percentiles::of(&all),
    })
}
