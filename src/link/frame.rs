//! A frame: an unclonable ticket for one buffer of a link's memory area.

/// One buffer of an area, owned by whoever holds the ticket.
#[derive(Debug)]
pub struct Frame;

/// The memory of a link's frames.
#[derive(Debug)]
pub struct Area;

/// Where the frames of a link are. The sum never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// On the fill ring or in the device, waiting for a packet.
    pub rx_posted: usize,
    /// On the tx ring or in the device, waiting to leave.
    pub tx_posted: usize,
    /// In the hands of the link's user, or delayed by an impairment.
    pub held: usize,
    /// On the free list.
    pub free: usize,
}
