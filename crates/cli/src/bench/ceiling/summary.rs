//! The ceiling of a whole benchmark: medians over all times that it was measured.

use serde::Serialize;

use super::exchange::Exchanged;
use super::measure::{BATCHES, Measured, SEGMENTS, SEGMENTS_JOINED, Task};
use crate::bench::figures::Spread;
use crate::bench::lab::Drops;
use crate::load::{Percentiles, latencies};

/// Raw echo at one batch size.
#[derive(Clone, Debug, Serialize)]
pub struct Echo {
    /// Frames in flight, and most frames of a turn.
    pub batch: usize,
    /// The median.
    pub round_trips_per_second: f64,
    /// Over all times.
    pub spread: Spread,
    /// Frames that did not come back.
    pub lost: u64,
    /// Of all round trips, nanoseconds.
    pub latency: Option<Percentiles>,
}

/// The stateless exchange.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// Segments of a connection.
    pub segments: u8,
    /// Connections in flight.
    pub concurrency: u16,
    /// The median.
    pub connections_per_second: f64,
    /// Over all times.
    pub spread: Spread,
    /// Connections that a lost segment broke off.
    pub lost: u64,
}

/// The `ceiling` of the contract.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    /// How the program was attached and the sockets bound.
    pub attachment: String,
    /// By batch.
    pub echo: Vec<Echo>,
    /// Seven segments a connection.
    #[serde(flatten)]
    pub exchange: Exchange,
    /// FINs joined to ACKs, which a stack may do.
    pub joined: Exchange,
    /// What devices and sockets dropped, in all.
    pub drops: Drops,
}

impl Measured {
    /// Connections a second of the exchange in seven segments.
    pub fn connections_per_second(&self) -> f64 {
        self.exchange.per_second()
    }

    /// Connections a second of an exchange in so many segments: between the two that were measured, the
    /// time of a connection grows evenly with each.
    pub fn connections_per_second_in(&self, segments: f64) -> f64 {
        let (seven, five) = (1.0 / self.exchange.per_second(), 1.0 / self.joined.per_second());
        let each = (seven - five) / f64::from(SEGMENTS - SEGMENTS_JOINED);
        1.0 / (five + each * (segments - f64::from(SEGMENTS_JOINED)).max(0.0))
    }

    /// Round trips a second with at most so many in flight.
    pub fn round_trips_per_second(&self, in_flight: u64) -> f64 {
        let fitting = BATCHES.iter().rposition(|batch| *batch as u64 <= in_flight).unwrap_or(0);
        self.rate(fitting)
    }

    fn rate(&self, index: usize) -> f64 {
        let echo = &self.echoes[index];
        echo.round_trips as f64 / echo.span.as_secs_f64()
    }
}

impl Ceiling {
    /// Of all times; `None` when there was none.
    pub fn of(task: &Task, times: &[Measured]) -> Option<Self> {
        let mut drops = Drops::default();
        times.iter().for_each(|it| drops.add(&it.drops));
        Some(Self {
            attachment: times.first()?.attachment.clone(),
            echo: (0..BATCHES.len()).filter_map(|index| echo(index, times)).collect(),
            exchange: exchange(task, SEGMENTS, times.iter().map(|it| &it.exchange))?,
            joined: exchange(task, SEGMENTS_JOINED, times.iter().map(|it| &it.joined))?,
            drops,
        })
    }
}

fn exchange<'a>(
    task: &Task,
    segments: u8,
    times: impl Iterator<Item = &'a Exchanged> + Clone,
) -> Option<Exchange> {
    let spread = Spread::of(times.clone().map(Exchanged::per_second))?;
    Some(Exchange {
        segments,
        concurrency: task.concurrency,
        connections_per_second: spread.median,
        spread,
        lost: times.map(|it| it.lost).sum(),
    })
}

fn echo(index: usize, times: &[Measured]) -> Option<Echo> {
    let spread = Spread::of(times.iter().map(|it| it.rate(index)))?;
    let mut all = latencies();
    for time in times {
        all.add(&time.echoes[index].latencies).expect("all histograms have the same bounds");
    }
    Some(Echo {
        batch: BATCHES[index],
        round_trips_per_second: spread.median,
        spread,
        lost: times.iter().map(|it| it.echoes[index].lost).sum(),
        latency: Percentiles::of(&all),
    })
}
