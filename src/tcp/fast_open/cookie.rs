//! The Fast Open option of a SYN (RFC 7413 §4.1.1).

use core::num::NonZeroU8;

/// Encoding of the option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The assigned option kind.
    #[default]
    Assigned,
    /// The older experimental option; a SYN that uses it is answered in the same form.
    Experimental,
}

/// A cookie: 4 to 16 bytes, of even length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    len: NonZeroU8,
    bytes: [u8; Self::LEN_MAX],
}

impl Cookie {
    /// Minimum length in bytes.
    pub const LEN_MIN: usize = 4;
    /// Maximum length in bytes.
    pub const LEN_MAX: usize = 16;

    /// Creates a cookie from `bytes` if their length is valid.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (Self::LEN_MIN..=Self::LEN_MAX).contains(&bytes.len());
        let len =
            NonZeroU8::new(bytes.len() as u8).filter(|_| fits && bytes.len().is_multiple_of(2))?;
        let mut cookie = Self { len, bytes: [0; Self::LEN_MAX] };
        cookie.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(cookie)
    }

    /// Returns the bytes of the cookie.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.get())]
    }
}

impl core::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The Fast Open option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpen {
    /// Encoding of the option.
    pub form: Form,
    /// The cookie; `None` requests one.
    pub cookie: Option<Cookie>,
}

// Every segment's options contain it.
const _: () = assert!(size_of::<Option<FastOpen>>() <= 18);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_has_an_even_length_of_four_to_sixteen_bytes() {
        // RFC 7413 §4.1.1
        let good: Vec<usize> =
            (0..20).filter(|len| Cookie::new(&vec![1; *len]).is_some()).collect();
        assert_eq!(good, [4, 6, 8, 10, 12, 14, 16]);
        let cookie = Cookie::new(&[0xab, 0, 1, 0xff]).expect("four bytes");
        assert_eq!(cookie.as_slice(), [0xab, 0, 1, 0xff]);
        assert_eq!(format!("{cookie:?}"), "ab0001ff");
    }
}
