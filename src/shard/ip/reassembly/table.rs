//! The table of incomplete datagrams: by key, bounded in number, bytes and time.

use std::collections::HashMap;

use super::datagram::{Completeness, Datagram, HEAD_MAX};
use super::pages::Pages;
use super::part::{Fragment, Key, Refusal};
use crate::shard::mem::keyed::Keyed;
use crate::time::{Duration, Instant};
use crate::wire::Protocol;

/// Reassembly timeout of IPv4: the value that hosts use. RFC 1122 §3.3.2 recommends 60 to 120
/// seconds, but a sender of 1,100 packets per second reuses its 16-bit identifiers within 60
/// seconds, and fragments of two datagrams would be joined (RFC 4963 §3).
const TIMEOUT_V4: Duration = Duration::from_secs(30);

/// Reassembly timeout of IPv6. RFC 8200 §4.5:
/// > If insufficient fragments are received to complete reassembly of a packet within 60 seconds of
/// > the reception of the first-arriving fragment of that packet, reassembly of that packet must be
/// > abandoned
const TIMEOUT_V6: Duration = Duration::from_secs(60);

/// Maximum number of datagrams, whatever the configured limit: the search for the oldest is linear.
const DATAGRAMS_MAX: usize = 1024;

/// The age of a datagram, kept apart from it so that a scan for the oldest or for expired ones
/// stays dense.
#[derive(Clone, Copy)]
struct Age {
    /// Smaller is older; `u64::MAX` marks a free slot.
    sequence: u64,
    expires_at: Instant,
}

const FREE: Age = Age { sequence: u64::MAX, expires_at: Instant::FAR };

/// The table of incomplete datagrams.
pub(in crate::shard) struct Reassembly {
    datagrams: Vec<Datagram>,
    ages: Vec<Age>,
    by_key: HashMap<Key, u16, Keyed>,
    free: Vec<u16>,
    pages: Pages,
    sequence: u64,
    /// Lower bound of all expiry times.
    earliest_expiry: Instant,
    /// Datagrams evicted since the last [`take_evicted`](Self::take_evicted).
    evicted: u64,
}

/// The outcome of [`Reassembly::on_fragment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum Outcome {
    /// More fragments are missing.
    Incomplete,
    /// The datagram with this index is complete: pass the index to [`Reassembly::take_complete`].
    Complete(u16),
}

/// The headers of a reassembled datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Headers {
    /// Length of all headers, bytes.
    pub(in crate::shard) len: usize,
    /// Offset of the IP header.
    pub(in crate::shard) ip_at: usize,
    /// See [`Fragment::next_header`].
    pub(in crate::shard) next_header: (u16, Protocol),
    /// ECN bits of the traffic class.
    pub(in crate::shard) ecn: u8,
}

/// A datagram that was not complete in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Expired {
    /// It was refused, and counted then.
    Refused,
    /// Its first fragment never arrived: no ICMP error is sent (RFC 792).
    NoFirstFragment,
    /// Its first fragment was appended to the buffer, link header included.
    Incomplete {
        /// Offset of the IP header in what was appended.
        ip_at: usize,
        /// Key of the datagram.
        key: Key,
    },
}

impl Reassembly {
    /// Creates a table for the given number of datagrams and bytes of data. `secret` keys its hash.
    pub(in crate::shard) fn new(datagrams: usize, bytes: usize, secret: [u8; 16]) -> Self {
        let datagrams = datagrams.clamp(1, DATAGRAMS_MAX);
        Self {
            datagrams: Vec::with_capacity(datagrams),
            ages: Vec::with_capacity(datagrams),
            by_key: HashMap::with_capacity_and_hasher(datagrams, Keyed::new(secret)),
            free: Vec::with_capacity(datagrams),
            pages: Pages::new(bytes),
            sequence: 0,
            earliest_expiry: Instant::FAR,
            evicted: 0,
        }
    }

    /// Returns the keyed hash of a datagram's key, or of any other value. All workers compute the
    /// same.
    pub(in crate::shard) fn hash(&self, key: &impl core::hash::Hash) -> u64 {
        use core::hash::BuildHasher;
        self.by_key.hasher().hash_one(key)
    }

    /// Accepts a fragment.
    ///
    /// # Errors
    /// If the fragment, or its whole datagram, is refused.
    pub(in crate::shard) fn on_fragment(
        &mut self,
        now: Instant,
        fragment: &Fragment<'_>,
    ) -> Result<Outcome, Refusal> {
        check_fragment(fragment)?;
        let index = self.find_or_begin(now, &fragment.key);
        let datagram = &mut self.datagrams[usize::from(index)];
        if datagram.refused {
            return Err(Refusal::Refused);
        }
        match datagram.check(fragment, &self.pages) {
            Ok(()) => {}
            Err(Refusal::Duplicate) => return Err(Refusal::Duplicate),
            Err(refusal) => return Err(self.refuse(index, refusal)),
        }
        let needed = datagram.pages_needed(fragment);
        if self.make_room(needed, index).is_err() {
            return Err(self.refuse(index, Refusal::Full));
        }
        let datagram = &mut self.datagrams[usize::from(index)];
        match datagram.insert(fragment, &mut self.pages) {
            Completeness::Partial => Ok(Outcome::Incomplete),
            Completeness::Complete if datagram.ecn().is_none() => {
                Err(self.refuse(index, Refusal::Congestion))
            }
            Completeness::Complete => Ok(Outcome::Complete(index)),
        }
    }

    /// Appends a complete datagram to `out`, preceded by the headers of its first fragment, and
    /// removes it from the table.
    pub(in crate::shard) fn take_complete(&mut self, index: u16, out: &mut Vec<u8>) -> Headers {
        let datagram = &self.datagrams[usize::from(index)];
        let head = datagram.reassembled_head();
        let headers = Headers {
            len: head.len(),
            ip_at: usize::from(datagram.ip_at),
            next_header: datagram.next_header,
            ecn: datagram.ecn().unwrap_or(0),
        };
        out.extend_from_slice(head);
        datagram.append_to(out, datagram.received(), &self.pages);
        self.forget(index);
        headers
    }

    /// Removes one expired datagram per call. Appends the headers of its first fragment to `out`,
    /// and at most `len_max` bytes of that fragment's data.
    pub(in crate::shard) fn poll_expired(
        &mut self,
        now: Instant,
        len_max: usize,
        out: &mut Vec<u8>,
    ) -> Option<Expired> {
        if now < self.earliest_expiry {
            return None;
        }
        let expired = self.ages.iter().position(|age| age.expires_at <= now);
        let Some(index) = expired else {
            self.earliest_expiry =
                self.ages.iter().map(|age| age.expires_at).min().unwrap_or(Instant::FAR);
            return None;
        };
        let datagram = &self.datagrams[index];
        let expired = match datagram.head() {
            _ if datagram.refused => Expired::Refused,
            None => Expired::NoFirstFragment,
            Some(head) => {
                out.extend_from_slice(head);
                datagram.append_to(out, datagram.first_len().min(len_max), &self.pages);
                Expired::Incomplete { ip_at: usize::from(datagram.ip_at), key: datagram.key }
            }
        };
        self.forget(index as u16);
        Some(expired)
    }

    /// Returns the time at which to call [`poll_expired`](Self::poll_expired) next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        (self.earliest_expiry != Instant::FAR).then_some(self.earliest_expiry)
    }

    /// Returns the number of datagrams evicted to make room since the last call. Refused ones do
    /// not count.
    pub(in crate::shard) const fn take_evicted(&mut self) -> u64 {
        core::mem::replace(&mut self.evicted, 0)
    }

    /// Returns the number of datagrams in the table, refused ones included.
    #[cfg(test)]
    pub(in crate::shard) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn find_or_begin(&mut self, now: Instant, key: &Key) -> u16 {
        if let Some(index) = self.by_key.get(key) {
            return *index;
        }
        if self.free.is_empty() && self.datagrams.len() == self.datagrams.capacity() {
            let evicted = self.evict_oldest(None);
            debug_assert_eq!(evicted, Evicted::One, "a full table holds a datagram");
        }
        let wait = if key.src.is_ipv4() { TIMEOUT_V4 } else { TIMEOUT_V6 };
        let age = Age { sequence: self.sequence, expires_at: now + wait };
        self.sequence += 1;
        self.earliest_expiry = self.earliest_expiry.min(age.expires_at);
        let index = match self.free.pop() {
            Some(index) => {
                self.datagrams[usize::from(index)] = Datagram::new(*key);
                self.ages[usize::from(index)] = age;
                index
            }
            None => {
                self.datagrams.push(Datagram::new(*key));
                self.ages.push(age);
                (self.datagrams.len() - 1) as u16
            }
        };
        self.by_key.insert(*key, index);
        index
    }

    /// Evicts the oldest datagrams, except `keep`, until `needed` pages are free.
    fn make_room(&mut self, needed: usize, keep: u16) -> Result<(), Refusal> {
        while self.pages.free() < needed {
            if self.evict_oldest(Some(keep)) == Evicted::None {
                return Err(Refusal::Full);
            }
        }
        Ok(())
    }

    fn evict_oldest(&mut self, keep: Option<u16>) -> Evicted {
        let ages = self.ages.iter().enumerate().filter(|(index, age)| {
            age.sequence != FREE.sequence && keep.is_none_or(|keep| usize::from(keep) != *index)
        });
        let Some((index, _)) = ages.min_by_key(|(_, age)| age.sequence) else {
            return Evicted::None;
        };
        self.evicted += u64::from(!self.datagrams[index].refused);
        self.forget(index as u16);
        Evicted::One
    }

    fn refuse(&mut self, index: u16, refusal: Refusal) -> Refusal {
        self.datagrams[usize::from(index)].refuse(&mut self.pages);
        refusal
    }

    fn forget(&mut self, index: u16) {
        let datagram = &mut self.datagrams[usize::from(index)];
        datagram.release_pages(&mut self.pages);
        self.by_key.remove(&datagram.key);
        self.ages[usize::from(index)] = FREE;
        self.free.push(index);
    }
}

/// The outcome of an attempt to evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Evicted {
    One,
    None,
}

/// Checks a fragment by itself. A refusal here does not refuse its datagram.
fn check_fragment(fragment: &Fragment<'_>) -> Result<(), Refusal> {
    // RFC 8200 §4.5:
    //   > If the length of a fragment, as derived from the fragment packet's Payload Length field,
    //   > is not a multiple of 8 octets and the M flag of that fragment is 1, then that fragment
    //   > must be discarded
    if fragment.bytes.is_empty() || (fragment.more && !fragment.bytes.len().is_multiple_of(8)) {
        return Err(Refusal::Length);
    }
    // RFC 8200 §4.5:
    //   > If the length and offset of a fragment are such that the Payload Length of the packet
    //   > reassembled from that fragment would exceed 65,535 octets, then that fragment must be
    //   > discarded
    if fragment.offset + fragment.bytes.len() as u32 > fragment.payload_max {
        return Err(Refusal::TooLong);
    }
    if fragment.offset == 0 && fragment.head.len() > HEAD_MAX {
        return Err(Refusal::Headers);
    }
    Ok(())
}
