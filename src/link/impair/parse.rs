//! Parsing of impairments from a compact string, with errors that name the faulty part.

use std::str::FromStr;

use super::{Burst, Impairment, Impairments};
use crate::time::Duration;

/// Reason that a string is not a valid set of impairments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImpairmentError {
    /// An unknown direction.
    #[error("unknown direction `{0}:`; use `tx:` or `rx:`, or none for both")]
    Direction(String),
    /// A key without a value.
    #[error("impairment `{0}` has no value; write KEY=VALUE, for instance `loss=5%,delay=10ms`")]
    NoValue(String),
    /// An unknown key.
    #[error(
        "unknown impairment `{0}`; known are loss, burst, delay, jitter, reorder, gap, duplicate, \
         corrupt, mtu, rate, queue, mark, hold and seed"
    )]
    Key(String),
    /// An invalid value.
    #[error("`{key}={value}`: expected {wanted}")]
    Value {
        /// Name of the impairment.
        key: String,
        /// The value given.
        value: String,
        /// Description of a valid value.
        wanted: &'static str,
    },
}

const PROBABILITY: &str = "a probability from 0% to 100%, for instance `5%`";
const SPAN: &str = "a time with its unit (ns, us, ms or s), for instance `10ms`";
const RATE: &str =
    "a rate above zero with its unit (bit, kbit, mbit or gbit), for instance `100mbit`";
const FRAMES: &str = "a number of frames above zero";
const BYTES: &str = "a number of bytes above zero";
const BURST: &str = "ENTER/LEAVE[/LOSS_BAD[/LOSS_GOOD]] as probabilities, for instance `1%/30%`";
const SEED: &str = "a whole number";

impl FromStr for Impairments {
    type Err = ImpairmentError;

    fn from_str(text: &str) -> Result<Self, ImpairmentError> {
        let mut impairments = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (direction, list) = part.split_once(':').unwrap_or(("", part));
            let (tx, rx) = match direction.trim() {
                "" => (true, true),
                "tx" => (true, false),
                "rx" => (false, true),
                other => return Err(ImpairmentError::Direction(other.to_owned())),
            };
            for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                let (key, value) = item
                    .split_once('=')
                    .ok_or_else(|| ImpairmentError::NoValue(item.to_owned()))?;
                let (key, value) = (key.trim(), value.trim());
                if key == "seed" {
                    impairments.seed = read(key, value, SEED, |text| text.parse().ok())?;
                }
                if tx {
                    set(&mut impairments.tx, key, value)?;
                }
                if rx {
                    set(&mut impairments.rx, key, value)?;
                }
            }
        }
        Ok(impairments)
    }
}

fn set(impairment: &mut Impairment, key: &str, value: &str) -> Result<(), ImpairmentError> {
    match key {
        "loss" => impairment.loss = read(key, value, PROBABILITY, probability)?,
        "reorder" => impairment.reorder = read(key, value, PROBABILITY, probability)?,
        "duplicate" => impairment.duplicate = read(key, value, PROBABILITY, probability)?,
        "corrupt" => impairment.corrupt = read(key, value, PROBABILITY, probability)?,
        "burst" => impairment.burst = Some(read(key, value, BURST, burst)?),
        "delay" => impairment.delay = read(key, value, SPAN, span)?,
        "jitter" => impairment.jitter = read(key, value, SPAN, span)?,
        "gap" => impairment.gap = read(key, value, SPAN, span)?,
        "mtu" => impairment.mtu = Some(read(key, value, BYTES, frames)?),
        "rate" => impairment.rate = Some(read(key, value, RATE, rate)?),
        "queue" => impairment.queue = read(key, value, FRAMES, frames)?,
        "mark" => impairment.mark = Some(read(key, value, FRAMES, frames)?),
        "hold" => impairment.hold = read(key, value, FRAMES, frames)?,
        "seed" => {}
        _ => return Err(ImpairmentError::Key(key.to_owned())),
    }
    Ok(())
}

fn read<T>(
    key: &str,
    value: &str,
    wanted: &'static str,
    reader: impl Fn(&str) -> Option<T>,
) -> Result<T, ImpairmentError> {
    reader(value).ok_or_else(|| ImpairmentError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        wanted,
    })
}

fn probability(text: &str) -> Option<f64> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&value).then_some(value)
}

fn burst(text: &str) -> Option<Burst> {
    let parts: Option<Vec<f64>> = text.split('/').map(|part| probability(part.trim())).collect();
    let (enter, leave, loss_bad, loss_good) = match parts?[..] {
        [enter, leave] => (enter, leave, 1.0, 0.0),
        [enter, leave, bad] => (enter, leave, bad, 0.0),
        [enter, leave, bad, good] => (enter, leave, bad, good),
        _ => return None,
    };
    Some(Burst { enter, leave, loss_bad, loss_good })
}

/// Parses a non-negative number followed by one of `units`. Returns it in the smallest of them.
fn measured(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    let value = number.trim().parse::<f64>().ok()? * factor;
    // Above 2^53 a float skips whole numbers; no network is that slow or that fast.
    (0.0..9e15).contains(&value).then_some(value.round() as u64)
}

fn span(text: &str) -> Option<Duration> {
    measured(text, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)]).map(Duration::from_nanos)
}

fn rate(text: &str) -> Option<u64> {
    let units = [("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
    measured(text, &units).filter(|rate| *rate > 0)
}

fn frames(text: &str) -> Option<usize> {
    text.parse().ok().filter(|frames| *frames > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Impairments, String> {
        text.parse().map_err(|error: ImpairmentError| error.to_string())
    }

    #[test]
    fn every_impairment_is_parsed() {
        let text = "loss=5%,reorder=3%,gap=500us,delay=10ms,jitter=2ms,rate=100mbit,queue=64,\
                    mark=20,hold=200,duplicate=1%,corrupt=0.1%,mtu=1400,burst=1%/30%/90%/0.5%,seed=7";
        let each = Impairment {
            loss: 0.05,
            burst: Some(Burst { enter: 0.01, leave: 0.3, loss_bad: 0.9, loss_good: 0.005 }),
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(2),
            reorder: 0.03,
            gap: Duration::from_micros(500),
            duplicate: 0.01,
            corrupt: 0.001,
            mtu: Some(1400),
            rate: Some(100_000_000),
            queue: 64,
            mark: Some(20),
            hold: 200,
        };
        assert_eq!(parse(text), Ok(Impairments::both(each, 7)));
    }

    #[test]
    fn directions_are_configured_separately_and_later_parts_win() {
        let got = parse("delay=1ms, loss=0.5; tx: delay=2ms ;rx:loss=0,seed=3;").unwrap();
        assert_eq!(
            (got.tx.delay, got.rx.delay),
            (Duration::from_millis(2), Duration::from_millis(1))
        );
        assert_eq!((got.tx.loss, got.rx.loss, got.seed), (0.5, 0.0, 3));
        assert_eq!(parse(""), Ok(Impairments::default()));
    }

    #[test]
    fn errors_name_the_faulty_part_and_a_valid_form() {
        for (text, says) in [
            ("loss", "impairment `loss` has no value"),
            ("lose=5%", "unknown impairment `lose`"),
            ("loss=150%", "`loss=150%`: expected a probability"),
            ("loss=-1", "`loss=-1`: expected a probability"),
            ("loss=NaN", "expected a probability"),
            ("delay=10", "`delay=10`: expected a time with its unit"),
            ("delay=10min", "expected a time"),
            ("delay=-1ms", "expected a time"),
            ("rate=0mbit", "expected a rate"),
            ("rate=infgbit", "expected a rate"),
            ("queue=0", "expected a number of frames"),
            ("burst=1%", "expected ENTER/LEAVE"),
            ("seed=x", "expected a whole number"),
            ("up:loss=1%", "unknown direction `up:`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
