//! Decoding of option values from bytes.

use crate::errno::Errno;
use linerate::time::Duration;

/// Decodes an integer option that may be a single byte.
pub(super) fn int_or_byte(value: &[u8]) -> Result<i32, Errno> {
    match value {
        [byte] => Ok(i32::from(*byte)),
        _ => int(value),
    }
}

/// Decodes an integer option.
pub(super) fn int(value: &[u8]) -> Result<i32, Errno> {
    let bytes = value.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(*bytes))
}

/// Decodes an option that accepts only 0 and 1.
pub(super) fn flag(value: &[u8]) -> Result<bool, Errno> {
    match int(value)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EINVAL),
    }
}

/// Decodes a `struct timeval`; zero means no limit.
pub(super) fn span(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let part = |at: usize| value.get(at..at + 8).and_then(|part| part.try_into().ok());
    let (Some(seconds), Some(micros)) = (part(0), part(8)) else { return Err(Errno::EINVAL) };
    let seconds = u64::try_from(i64::from_ne_bytes(seconds)).unwrap_or(0);
    let micros = u64::try_from(i64::from_ne_bytes(micros)).unwrap_or(0);
    let span = Duration::from_secs(seconds) + Duration::from_micros(micros);
    Ok((span != Duration::ZERO).then_some(span))
}
