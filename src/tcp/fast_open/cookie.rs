//! The Fast Open option of a SYN (RFC 7413 §4.1.1).

use core::num::NonZeroU8;

/// How the option is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Under the kind that was assigned to it.
    #[default]
    Assigned,
    /// As an experiment, which is older; who speaks it is answered in it.
    Experimental,
}

/// A cookie: 4 to 16 bytes, an even number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    len: NonZeroU8,
    bytes: [u8; Self::LEN_MAX],
}

impl Cookie {
    /// The fewest bytes.
    pub const LEN_MIN: usize = 4;
    /// The most.
    pub const LEN_MAX: usize = 16;

    /// A cookie of these bytes, if they can be one.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (Self::LEN_MIN..=Self::LEN_MAX).contains(&bytes.len());
        let len =
            NonZeroU8::new(bytes.len() as u8).filter(|_| fits && bytes.len().is_multiple_of(2))?;
        let mut cookie = Self { len, bytes: [0; Self::LEN_MAX] };
        cookie.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(cookie)
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.get())]
    }
}

impl core::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpen {
    /// How it is written.
    pub form: Form,
    /// The cookie; `None` asks for one.
    pub cookie: Option<Cookie>,
}

// It is part of every segment's options.
const _: () = assert!(size_of::<Option<FastOpen>>() <= 18);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_has_four_to_sixteen_bytes_and_an_even_number() {
        // RFC 7413 §4.1.1
        let good: Vec<usize> =
            (0..20).filter(|len| Cookie::new(&vec![1; *len]).is_some()).collect();
        assert_eq!(good, [4, 6, 8, 10, 12, 14, 16]);
        let cookie = Cookie::new(&[0xab, 0, 1, 0xff]).expect("four bytes");
        assert_eq!(cookie.as_slice(), [0xab, 0, 1, 0xff]);
        assert_eq!(format!("{cookie:?}"), "ab0001ff");
    }
}
