//! Parsers for addresses, lists, durations and sizes on the command line.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address with its prefix length: `10.0.0.1/24`, `fd00::1/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    /// The address, host bits included.
    pub address: IpAddr,
    /// Prefix length in bits. An address without one gets the full length: 32 or 128.
    pub prefix: u8,
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address
            .parse()
            .map_err(|_| "give an address with a prefix, as in 10.0.0.1/24 or fd00::1/64")?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            "" if !text.contains('/') => bits,
            digits => digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(|| {
                format!("the prefix length after the slash must be from 0 to {bits}")
            })?,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A list of small numbers: `0`, `0-3`, `0,2,4-5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers(pub Vec<u32>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            digits.trim().parse::<u32>().ok().filter(|number| *number < 4096).ok_or_else(|| {
                format!("`{digits}` is not a number below 4096; write a list as in 0-3 or 0,2")
            })
        };
        let mut list = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("`{part}` is a descending range; write `{last}-{first}`"));
            }
            list.extend(first..=last);
        }
        let mut seen = std::collections::HashSet::new();
        match list.iter().find(|number| !seen.insert(**number)) {
            Some(twice) => Err(format!("{twice} appears twice")),
            None => Ok(Self(list)),
        }
    }
}

/// Parses seconds, as in `10` or `0.5`, up to a year.
pub(crate) fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give seconds, as in 10 or 0.5")?;
    if !(seconds.is_finite() && (0.0..=31_536_000.0).contains(&seconds)) {
        return Err("give seconds from 0 to 31536000 (a year)".into());
    }
    Ok(std::time::Duration::from_secs_f64(seconds))
}

/// Parses bytes with an optional unit: `64`, `16k`, `100M`, `1G` (powers of 1024).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return Err("the units are k, M and G".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "give bytes, as in 64, 16k or 100M")?;
    number.checked_mul(unit).ok_or_else(|| "the size does not fit 64 bits".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_prefix_are_parsed() {
        for (text, prefix) in
            [("10.0.0.1/24", 24), ("10.0.0.1", 32), ("fd00::1/64", 64), ("::1", 128)]
        {
            assert_eq!(text.parse::<Cidr>().map(|cidr| cidr.prefix), Ok(prefix), "{text}");
        }
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for text in ["", "10.0.0.1/33", "10.0.0.1/", "host/24", "fd00::1/129", "10.0.0.1/x"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn lists_and_ranges_are_parsed() {
        assert_eq!("0-2,5".parse(), Ok(Numbers(vec![0, 1, 2, 5])));
        for text in ["", "3-1", "a", "0,0", "1-", "99999"] {
            assert!(text.parse::<Numbers>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_times_take_units_and_fractions() {
        assert_eq!(bytes("16k"), Ok(16_384));
        assert_eq!(bytes("7"), Ok(7));
        assert!(bytes("7x").is_err() && bytes("").is_err() && bytes("99999999999G").is_err());
        assert_eq!(seconds("0.5"), Ok(std::time::Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("nan").is_err());
    }
}
