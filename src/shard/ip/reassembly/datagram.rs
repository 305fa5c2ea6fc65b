//! One incomplete datagram: which of its bytes have arrived, and the pages that hold them.
//!
//! Invariant: no two fragments share a byte. The datagram is complete when the lengths of its
//! fragments add up to its own.

use super::pages::{NONE, PAGE, PAGES_PER_DATAGRAM, Pages};
use super::part::{Fragment, Key, Refusal};
use crate::wire::Protocol;

/// Maximum number of fragments of a datagram. The longest datagram has 119 at the smallest IPv4 MTU
/// in use, 576 bytes.
pub(super) const FRAGMENTS_MAX: usize = 128;

/// Space for the headers of a first fragment, bytes: two VLAN tags and the longest IPv4 header, or
/// 130 bytes of IPv6 extension headers.
pub(super) const HEAD_MAX: usize = 192;

/// The bytes that one fragment covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

/// An incomplete datagram, or a refused one that is remembered until it expires.
pub(super) struct Datagram {
    pub(super) key: Key,
    /// Its fragments contradict each other: no more are accepted until it expires.
    pub(super) refused: bool,
    spans: [Span; FRAGMENTS_MAX],
    fragments: u8,
    received: u16,
    /// Length of its data, once the last fragment has arrived.
    total: Option<u16>,
    pages: [u16; PAGES_PER_DATAGRAM],
    /// A set of the ECN values of its fragments, one bit each.
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

    /// Checks a fragment against those that have arrived. Changes nothing.
    pub(super) fn check(&self, fragment: &Fragment<'_>, pages: &Pages) -> Result<(), Refusal> {
        let span = span_of(fragment);
        let overlapping = |s: &&Span| s.start < span.end && span.start < s.end;
        if let Some(other) = self.spans[..usize::from(self.fragments)].iter().find(overlapping) {
            // RFC 8200 §4.5:
            //   > It should be noted that fragments may be duplicated in the network. Instead of
            //   > treating these exact duplicate fragments as overlapping fragments, an
            //   > implementation may choose to detect this case and drop exact duplicate fragments
            let last = self.total == Some(span.end);
            let same =
                *other == span && last != fragment.more && self.contains_bytes(fragment, pages);
            return Err(if same { Refusal::Duplicate } else { Refusal::Overlap });
        }
        // Data beyond the last fragment, or a second last fragment, contradicts the first one.
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

    /// Returns the number of pages to allocate for a fragment.
    pub(super) fn pages_needed(&self, fragment: &Fragment<'_>) -> usize {
        pages_of(span_of(fragment)).filter(|at| self.pages[*at] == NONE).count()
    }

    /// Inserts a fragment that passed [`check`](Self::check). The pool must have enough free pages.
    pub(super) fn insert(&mut self, fragment: &Fragment<'_>, pages: &mut Pages) -> Completeness {
        let span = span_of(fragment);
        for at in pages_of(span) {
            if self.pages[at] == NONE {
                self.pages[at] = pages.take().expect("the caller has made room for the fragment");
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

    /// Returns the headers of the first fragment, if it has arrived.
    pub(super) fn head(&self) -> Option<&[u8]> {
        (self.head_len > 0).then(|| &self.head[..usize::from(self.head_len)])
    }

    /// Returns the headers of the reassembled datagram: without the fragment header.
    pub(super) fn reassembled_head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len.saturating_sub(self.fragment_header_len))]
    }

    /// Appends the first `len` bytes of data to `out`. They must have arrived.
    pub(super) fn append_to(&self, out: &mut Vec<u8>, len: usize, pages: &Pages) {
        let span = Span { start: 0, end: len.min(usize::from(u16::MAX)) as u16 };
        for at in pages_of(span) {
            let (from, to) = within(span, at);
            out.extend_from_slice(&pages.page(self.pages[at])[from % PAGE..][..to - from]);
        }
    }

    /// Returns the length of the first fragment, bytes.
    pub(super) fn first_len(&self) -> usize {
        let first = self.spans[..usize::from(self.fragments)].iter().find(|span| span.start == 0);
        first.map_or(0, |span| usize::from(span.end))
    }

    /// Returns the number of bytes that have arrived.
    pub(super) const fn received(&self) -> usize {
        self.received as usize
    }

    /// Returns the ECN bits of the reassembled datagram; `None` if its fragments contradict each
    /// other.
    ///
    /// RFC 3168 §5.3:
    /// > the reassembled packet MUST [have CE set] if any of the fragments have [it, unless a
    /// > fragment is Not-ECT; then] the packet MUST be dropped
    pub(super) const fn ecn(&self) -> Option<u8> {
        const NOT_CAPABLE: u8 = 1;
        const EXPERIENCED: u8 = 1 << 3;
        match self.ecn_seen {
            seen if seen & EXPERIENCED == 0 => Some(seen.trailing_zeros() as u8 & 0b11),
            seen if seen & NOT_CAPABLE == 0 => Some(3),
            _ => None,
        }
    }

    /// Releases its memory and accepts no more fragments (RFC 5722 §4).
    pub(super) fn refuse(&mut self, pages: &mut Pages) {
        self.release_pages(pages);
        self.refused = true;
    }

    /// Releases its memory.
    pub(super) fn release_pages(&mut self, pages: &mut Pages) {
        for page in &mut self.pages {
            if *page != NONE {
                pages.give_back(core::mem::replace(page, NONE));
            }
        }
        (self.fragments, self.received, self.total, self.head_len) = (0, 0, None, 0);
    }

    /// Returns the end of the fragment that reaches furthest.
    fn end(&self) -> u16 {
        self.spans[..usize::from(self.fragments)].iter().map(|span| span.end).max().unwrap_or(0)
    }

    /// Returns true if the same bytes have arrived before.
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

/// The outcome of [`Datagram::insert`].
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

/// Returns the indices of a span in the datagram's list of pages.
fn pages_of(span: Span) -> core::ops::Range<usize> {
    usize::from(span.start) / PAGE..usize::from(span.end).div_ceil(PAGE)
}

/// Returns the start and end of the part of a span that lies in page `at`, as offsets in the
/// datagram.
fn within(span: Span, at: usize) -> (usize, usize) {
    (usize::from(span.start).max(at * PAGE), usize::from(span.end).min((at + 1) * PAGE))
}
