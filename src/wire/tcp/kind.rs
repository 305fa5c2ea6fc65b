//! Option kinds from the IANA registry.

pub(super) const END: u8 = 0;
pub(super) const NOP: u8 = 1;
pub(super) const MSS: u8 = 2;
pub(super) const WINDOW_SCALE: u8 = 3;
pub(super) const SACK_PERMITTED: u8 = 4;
pub(super) const SACK: u8 = 5;
pub(super) const TIMESTAMPS: u8 = 8;
pub(super) const USER_TIMEOUT: u8 = 28;
pub(super) const FAST_OPEN: u8 = 34;
pub(super) const ACCECN0: u8 = 172;
pub(super) const ACCECN1: u8 = 174;
/// Kind shared by experiments, which 16 bits tell apart.
pub(super) const EXPERIMENT: u8 = 254;
