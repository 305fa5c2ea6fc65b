//! VLAN tags: IEEE 802.1Q and, outside it, 802.1ad. Parses up to two; a third is part of the
//! payload.

use super::protocol::EtherType;

/// Length of one tag in bytes.
pub const TAG_LEN: usize = 4;

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// `EtherType::VLAN` or `EtherType::SERVICE_VLAN`.
    pub ethertype: EtherType,
    /// Priority (3 bits), drop eligible (1 bit), VLAN identifier (12 bits).
    pub control: u16,
}

impl Tag {
    /// Returns the VLAN identifier; 0 means that the tag carries only a priority.
    #[inline]
    pub const fn id(self) -> u16 {
        self.control & 0x0fff
    }

    /// Returns the priority code point.
    #[inline]
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }
}

/// VLAN tags of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    /// The first tag of the frame: the service tag if there are two.
    pub outer: Option<Tag>,
    /// The second tag; `None` without an outer one.
    pub inner: Option<Tag>,
}

impl Tags {
    /// No tags.
    pub const NONE: Self = Self { outer: None, inner: None };

    /// Returns the length of the tags in bytes.
    #[inline]
    pub const fn byte_len(self) -> usize {
        match (self.outer, self.inner) {
            (None, _) => 0,
            (Some(_), None) => TAG_LEN,
            (Some(_), Some(_)) => 2 * TAG_LEN,
        }
    }
}

/// Returns true if a tag follows the EtherType.
#[inline]
pub(super) const fn is_tag(ethertype: EtherType) -> bool {
    matches!(ethertype, EtherType::VLAN | EtherType::SERVICE_VLAN)
}

/// Parses the tags behind the first EtherType, which announces one. Returns the tags, the EtherType
/// behind them, and the rest.
#[cold]
pub(super) fn parse(first: EtherType, bytes: &[u8]) -> Option<(Tags, EtherType, &[u8])> {
    let (outer, next, rest) = parse_one(first, bytes)?;
    if !is_tag(next) {
        return Some((Tags { outer: Some(outer), inner: None }, next, rest));
    }
    let (inner, next, rest) = parse_one(next, rest)?;
    Some((Tags { outer: Some(outer), inner: Some(inner) }, next, rest))
}

fn parse_one(ethertype: EtherType, bytes: &[u8]) -> Option<(Tag, EtherType, &[u8])> {
    let (&[c0, c1, e0, e1], rest) = bytes.split_first_chunk::<TAG_LEN>()?;
    let tag = Tag { ethertype, control: u16::from_be_bytes([c0, c1]) };
    Some((tag, EtherType(u16::from_be_bytes([e0, e1])), rest))
}
