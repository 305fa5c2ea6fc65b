//! Options of Neighbour Discovery (RFC 4861 §4.6): type, length in units of eight bytes, contents.

use crate::wire::error::{Error, NoRoom};
use crate::wire::ethernet::MacAddr;
use core::fmt;
use core::net::Ipv6Addr;

/// Option types (RFC 4861 §4.6).
mod kind {
    pub(super) const SOURCE_ADDRESS: u8 = 1;
    pub(super) const TARGET_ADDRESS: u8 = 2;
    pub(super) const PREFIX: u8 = 3;
    pub(super) const MTU: u8 = 5;
}

/// Length of a prefix option in bytes.
const PREFIX_LEN: usize = 32;

/// A prefix of the link (RFC 4861 §4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The prefix; only its leading `len` bits are significant.
    pub prefix: Ipv6Addr,
    /// Length in bits: 0 to 128.
    pub len: u8,
    /// Addresses in the prefix are on the link.
    pub on_link: bool,
    /// Hosts may form an address from the prefix (RFC 4862).
    pub autonomous: bool,
    /// Time in seconds that the prefix is on the link; all ones means infinity.
    pub valid_s: u32,
    /// Time in seconds that its addresses are preferred.
    pub preferred_s: u32,
}

impl Prefix {
    fn from_wire(option: &[u8; PREFIX_LEN]) -> Self {
        let word = |at: usize| u32::from_be_bytes(core::array::from_fn(|i| option[at + i]));
        Self {
            prefix: Ipv6Addr::from(core::array::from_fn::<u8, 16, _>(|i| option[16 + i])),
            len: option[2],
            on_link: option[3] & 0x80 != 0,
            autonomous: option[3] & 0x40 != 0,
            valid_s: word(4),
            preferred_s: word(8),
        }
    }

    fn to_wire(self) -> [u8; PREFIX_LEN] {
        let mut option = [0; PREFIX_LEN];
        let flags = u8::from(self.on_link) << 7 | u8::from(self.autonomous) << 6;
        option[..4].copy_from_slice(&[kind::PREFIX, 4, self.len, flags]);
        option[4..8].copy_from_slice(&self.valid_s.to_be_bytes());
        option[8..12].copy_from_slice(&self.preferred_s.to_be_bytes());
        option[16..].copy_from_slice(&self.prefix.octets());
        option
    }
}

/// The prefixes of an advertisement: the options of a received one, or a list for one to send.
#[derive(Clone, Copy)]
pub struct Prefixes<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Area(&'a [u8]),
    List(&'a [Prefix]),
}

impl<'a> Prefixes<'a> {
    /// Creates the prefixes from a list. Each is at most 128 bits long; receivers ignore a longer
    /// one.
    pub const fn new(list: &'a [Prefix]) -> Self {
        Self(Source::List(list))
    }

    pub(super) const fn of_area(area: &'a [u8]) -> Self {
        Self(Source::Area(area))
    }

    /// Returns an iterator over the prefixes.
    pub const fn iter(&self) -> PrefixIter<'a> {
        PrefixIter(self.0)
    }
}

impl<'a> IntoIterator for Prefixes<'a> {
    type Item = Prefix;
    type IntoIter = PrefixIter<'a>;

    fn into_iter(self) -> PrefixIter<'a> {
        self.iter()
    }
}

impl Default for Prefixes<'_> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl PartialEq for Prefixes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Prefixes<'_> {}

impl fmt::Debug for Prefixes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterator over prefixes; see [`Prefixes::iter`].
#[derive(Clone)]
pub struct PrefixIter<'a>(Source<'a>);

impl Iterator for PrefixIter<'_> {
    type Item = Prefix;

    fn next(&mut self) -> Option<Prefix> {
        match &mut self.0 {
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
            Source::Area(area) => loop {
                let (option, rest) = first_option(area).ok()??;
                *area = rest;
                if let Some(prefix) = as_prefix(option) {
                    return Some(prefix);
                }
            },
        }
    }
}

/// Returns the prefix if the option is a valid prefix option.
fn as_prefix(option: &[u8]) -> Option<Prefix> {
    let option = <&[u8; PREFIX_LEN]>::try_from(option).ok()?;
    let prefix = Prefix::from_wire(option);
    Some(prefix).filter(|prefix| option[0] == kind::PREFIX && prefix.len <= 128)
}

/// An option with its type and length, and the bytes behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Splits off the first option of an area. Returns `None` at the end.
fn first_option(area: &[u8]) -> Result<Option<Split<'_>>, Error> {
    match area {
        [] => Ok(None),
        // RFC 4861 §4.6:
        //   > The value 0 is invalid. Nodes MUST silently discard an ND packet that contains an
        //   > option with length zero.
        [_, 0, ..] => Err(Error::Malformed),
        [_, units, ..] => {
            area.split_at_checked(usize::from(*units) * 8).map(Some).ok_or(Error::Truncated)
        }
        [_] => Err(Error::Truncated),
    }
}

/// Options of a received message. If an option occurs twice, the last one counts.
#[derive(Default)]
pub(super) struct Options {
    pub(super) source_mac: Option<MacAddr>,
    pub(super) target_mac: Option<MacAddr>,
    pub(super) mtu: Option<u32>,
}

impl Options {
    /// Parses all options, so that a broken one invalidates the message. Skips unknown ones (RFC
    /// 4861 §4.6).
    pub(super) fn parse(mut area: &[u8]) -> Result<Self, Error> {
        let mut options = Self::default();
        while let Some((option, rest)) = first_option(area)? {
            area = rest;
            if let &[kind, _, a, b, c, d, e, f] = option {
                match kind {
                    kind::SOURCE_ADDRESS => options.source_mac = Some(MacAddr([a, b, c, d, e, f])),
                    kind::TARGET_ADDRESS => options.target_mac = Some(MacAddr([a, b, c, d, e, f])),
                    kind::MTU => options.mtu = Some(u32::from_be_bytes([c, d, e, f])),
                    _ => {}
                }
            }
        }
        Ok(options)
    }
}

/// Options of a message to send.
#[derive(Default)]
pub(super) struct OptionsOut<'a> {
    pub(super) source_mac: Option<MacAddr>,
    pub(super) target_mac: Option<MacAddr>,
    pub(super) mtu: Option<u32>,
    pub(super) prefixes: Prefixes<'a>,
}

impl OptionsOut<'_> {
    /// Writes the options in sequence and returns their length.
    pub(super) fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let mut at = 0;
        for (kind, mac) in
            [(kind::SOURCE_ADDRESS, self.source_mac), (kind::TARGET_ADDRESS, self.target_mac)]
        {
            if let Some(MacAddr([a, b, c, d, e, f])) = mac {
                at += put(bytes, at, [kind, 1, a, b, c, d, e, f])?;
            }
        }
        if let Some(mtu) = self.mtu {
            let [a, b, c, d] = mtu.to_be_bytes();
            at += put(bytes, at, [kind::MTU, 1, 0, 0, a, b, c, d])?;
        }
        for prefix in self.prefixes {
            at += put(bytes, at, prefix.to_wire())?;
        }
        Ok(at)
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, option: [u8; N]) -> Result<usize, NoRoom> {
    let rest = bytes.get_mut(at..).ok_or(NoRoom)?;
    *rest.first_chunk_mut::<N>().ok_or(NoRoom)? = option;
    Ok(N)
}
