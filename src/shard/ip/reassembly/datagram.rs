//! One datagram on its way to being whole: which of its bytes are there, and where.
//!
//! Invariant: no two parts share a byte, so that what arrived is whole when the sum of their lengths is
//! the datagram's.

use super::pages::{NONE, PAGE, PAGES_PER_DATAGRAM, Pages};
use super::part::{Fragment, Key, Refusal};
use crate::wire::Protocol;

/// Parts of one datagram at most: the longest, cut for the smallest IPv4 MTU in use (576), has 119.
pub(super) const FRAGMENTS_MAX: usize = 128;

/// Bytes of headers kept of a first part: two VLAN tags, the longest IPv4 header; of IPv6, extension
/// headers of 130 bytes.
pub(super) const HEAD_MAX: usize = 192;

/// Where one part's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

/// A datagram, or the memory of one that was refused.
pub(super) struct Datagram {
    pub(super) key: Key,
    /// It contradicted itself: nothing more is taken of it until its time is over.
    pub(super) refused: bool,
    spans: [Span; FRAGMENTS_MAX],
    fragments: u8,
    received: u16,
    /// Where it ends, once the last part has told.
    total: Option<u16>,
    pages: [u16; PAGES_PER_DATAGRAM],
    /// One bit for each value of the congestion bits that a part had.
    ecn_seen: u8,
    head: [u8; HEAD_MAX],
    head_len: u8,
    fragment_header_len: u8,
    pub(super) ip_at: u8,
    pub(super) next_header: (u16, Protocol),
}

impl Datagram {
    pub(super) const fn new(key: Key) -> Self {
        Self {
            key,
            refused: false,
            spans: [Span { start: 0, end: 0 }; FRAGMENTS_MAX],
            fragments: 0,
            received: 0,
            total: None,
            pages: [NONE; PAGES_PER_DATAGRAM],
            ecn_seen: 0,
            head: [0; HEAD_MAX],
            head_len: 0,
            fragment_header_len: 0,
            ip_at: 0,
            next_header: (0, Protocol(0)),
        }
    }

    /// Whether `part` fits what is there; changes nothing.
    pub(super) fn check(&self, fragment: &Fragment<'_>, pages: &Pages) -> Result<(), Refusal> {
        let span = span_of(fragment);
        let overlapping = |s: &&Span| s.start < span.end && span.start < s.end;
        if let Some(other) = self.spans[..usize::from(self.fragments)].iter().find(overlapping) {
            // RFC 8200 §4.5:
            //   > It should be noted that fragments may be duplicated in the network. Instead of
            //   > treating these exact duplicate fragments as overlapping fragments, an implementation
            //   > may choose to detect this case and drop exact duplicate fragments
            let last = self.total == Some(span.end);
            let same =
                *other == span && last != fragment.more && self.contains_bytes(fragment, pages);
            return Err(if same { Refusal::Duplicate } else { Refusal::Overlap });
        }
        // What lies behind the last part, or a second last part, contradicts the first one.
        let beyond = self.total.is_some_and(|total| !fragment.more || span.end > total);
        let cut_short = !fragment.more && self.end() > span.end;
        if beyond || cut_short {
            return Err(Refusal::Overlap);
        }
        if usize::from(self.fragments) == FRAGMENTS_MAX {
            return Err(Refusal::TooMany);
        }
        Ok(())
    }

    /// Pages that `part` needs and the datagram does not have yet.
    pub(super) fn pages_needed(&self, fragment: &Fragment<'_>) -> usize {
        pages_of(span_of(fragment)).filter(|at| self.pages[*at] == NONE).count()
    }

    /// Takes a part that was checked, and for which there are pages. Returns whether it is whole now.
    pub(super) fn insert(&mut self, fragment: &Fragment<'_>, pages: &mut Pages) -> Completeness {
        let span = span_of(fragment);
        for at in pages_of(span) {
            if self.pages[at] == NONE {
                self.pages[at] =
                    pages.take().expect("the caller has seen to it that there are enough");
            }
            let (from, to) = within(span, at);
            let bytes =
                &fragment.bytes[from - usize::from(span.start)..to - usize::from(span.start)];
            let page = pages.page_mut(self.pages[at]);
            page[from % PAGE..][..bytes.len()].copy_from_slice(bytes);
        }
        self.spans[usize::from(self.fragments)] = span;
        self.fragments += 1;
        self.received += span.end - span.start;
        self.ecn_seen |= 1 << (fragment.ecn & 0b11);
        if !fragment.more {
            self.total = Some(span.end);
        }
        if span.start == 0 {
            self.head[..fragment.head.len()].copy_from_slice(fragment.head);
            self.head_len = fragment.head.len() as u8;
            self.fragment_header_len = fragment.fragment_header_len;
            self.ip_at = fragment.ip_at as u8;
            self.next_header = fragment.next_header;
        }
        if self.total == Some(self.received) {
            Completeness::Complete
        } else {
            Completeness::Partial
        }
    }

    /// The headers of its first part, if that is there.
    pub(super) fn head(&self) -> Option<&[u8]> {
        (self.head_len > 0).then(|| &self.head[..usize::from(self.head_len)])
    }

    /// The headers of the whole.
    pub(super) fn reassembled_head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len.saturating_sub(self.fragment_header_len))]
    }

    /// Appends the bytes from the first on, `len` of them at most: those of the first part, or of the whole.
    pub(super) fn append_to(&self, out: &mut Vec<u8>, len: usize, pages: &Pages) {
        let span = Span { start: 0, end: len.min(usize::from(u16::MAX)) as u16 };
        for at in pages_of(span) {
            let (from, to) = within(span, at);
            out.extend_from_slice(&pages.page(self.pages[at])[from % PAGE..][..to - from]);
        }
    }

    /// Bytes of the first part.
    pub(super) fn first_len(&self) -> usize {
        let first = self.spans[..usize::from(self.fragments)].iter().find(|span| span.start == 0);
        first.map_or(0, |span| usize::from(span.end))
    }

    /// Bytes that are there.
    pub(super) const fn received(&self) -> usize {
        self.received as usize
    }

    /// The congestion bits of the whole, `None` when its parts contradict each other.
    ///
    /// RFC 3168 §5.3:
    /// > the reassembled packet MUST [have CE set] if any of the fragments have [it, unless a fragment is
    /// > Not-ECT; then] the packet MUST be dropped
    pub(super) const fn ecn(&self) -> Option<u8> {
        const NOT_CAPABLE: u8 = 1;
        const EXPERIENCED: u8 = 1 << 3;
        match self.ecn_seen {
            seen if seen & EXPERIENCED == 0 => Some(seen.trailing_zeros() as u8 & 0b11),
            seen if seen & NOT_CAPABLE == 0 => Some(3),
            _ => None,
        }
    }

    /// Gives its memory back and takes no more (RFC 5722 §4).
    pub(super) fn refuse(&mut self, pages: &mut Pages) {
        self.release_pages(pages);
        self.refused = true;
    }

    /// Gives its memory back.
    pub(super) fn release_pages(&mut self, pages: &mut Pages) {
        for page in &mut self.pages {
            if *page != NONE {
                pages.give_back(core::mem::replace(page, NONE));
            }
        }
        (self.fragments, self.received, self.total, self.head_len) = (0, 0, None, 0);
    }

    /// Where the part ends that reaches furthest.
    fn end(&self) -> u16 {
        self.spans[..usize::from(self.fragments)].iter().map(|span| span.end).max().unwrap_or(0)
    }

    /// Whether the bytes of `part` are there already, the very same.
    fn contains_bytes(&self, fragment: &Fragment<'_>, pages: &Pages) -> bool {
        let span = span_of(fragment);
        pages_of(span).all(|at| {
            let (from, to) = within(span, at);
            let start = usize::from(span.start);
            pages.page(self.pages[at])[from % PAGE..][..to - from]
                == fragment.bytes[from - start..to - start]
        })
    }
}

/// Whether a datagram has all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Completeness {
    Complete,
    Partial,
}

fn span_of(fragment: &Fragment<'_>) -> Span {
    let start = fragment.offset as u16;
    Span { start, end: start + fragment.bytes.len() as u16 }
}

/// The places in a datagram's list of pages that a span touches.
fn pages_of(span: Span) -> core::ops::Range<usize> {
    usize::from(span.start) / PAGE..usize::from(span.end).div_ceil(PAGE)
}

/// What of a span lies in the page at place `at`, counted from the datagram's begin.
fn within(span: Span, at: usize) -> (usize, usize) {
    (usize::from(span.start).max(at * PAGE), usize::from(span.end).min((at + 1) * PAGE))
}
