//! Sizes in the notation of the command line: `64K`, `16M`, `64K:16M`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, with binary units: `4096`, `64K`, `16M`, `2G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write it like 4096, 64K, 16M or 2G");
        let text_of = text.trim().to_ascii_uppercase();
        let (digits, shift) = match text_of.strip_suffix(['K', 'M', 'G']) {
            Some(digits) if text_of.ends_with('K') => (digits, 10),
            Some(digits) if text_of.ends_with('M') => (digits, 20),
            Some(digits) => (digits, 30),
            None => (text_of.as_str(), 0),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "G"), (20, "M"), (10, "K")];
        match units.iter().find(|(shift, _)| self.0 > 0 && self.0.is_multiple_of(1 << shift)) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Initial and maximum size of a buffer: `64K:16M`. A single size sets both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferSizes {
    /// Initial size in bytes.
    pub initial: u32,
    /// Maximum size in bytes.
    pub max: u32,
}

/// From the smallest buffer that holds a segment to the largest window (RFC 7323 §2.3).
const BOUNDS: core::ops::RangeInclusive<u64> = 2048..=1 << 30;

impl FromStr for BufferSizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (initial, max) = text.split_once(':').unwrap_or((text, text));
        let (initial, max): (Size, Size) = (initial.parse()?, max.parse()?);
        if initial > max {
            return Err(format!("the initial size {initial} exceeds the maximum {max}"));
        }
        if !BOUNDS.contains(&initial.0) || !BOUNDS.contains(&max.0) {
            return Err("a buffer must have between 2K and 1G".to_owned());
        }
        Ok(Self { initial: initial.0 as u32, max: max.0 as u32 })
    }
}

impl fmt::Display for BufferSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Size(self.initial.into()), Size(self.max.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_and_print_round_trip() {
        for (text, bytes) in [("4096", 4096), ("64K", 65_536), ("16m", 16 << 20), ("2G", 2 << 30)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "K", "1T", "-1", "1.5M", "99999999999G"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for bytes in [0, 1, 1024, 65_536, 3 << 20, 1 << 30] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }

    #[test]
    fn buffer_sizes_are_checked_for_order_and_bounds() {
        let sizes = |text: &str| text.parse::<BufferSizes>().map(|b| (b.initial, b.max));
        assert_eq!(sizes("64K:16M"), Ok((65_536, 16 << 20)));
        assert_eq!(sizes("1M"), Ok((1 << 20, 1 << 20)));
        for text in ["16M:64K", "1K:16M", "64K:2G", "64K:", ":"] {
            assert!(sizes(text).is_err(), "{text}");
        }
        let shown = BufferSizes { initial: 65_536, max: 16 << 20 }.to_string();
        assert_eq!(shown, "64K:16M");
    }
}
