//! Size limits: a million connections must fit into memory.

use core::mem::{offset_of, size_of};

use crate::tcp::Connection;

#[test]
fn a_connection_takes_at_most_304_bytes() {
    assert!(size_of::<Connection>() <= 304, "{}", size_of::<Connection>());
}

#[test]
fn fields_for_opening_and_closing_come_first() {
    assert!(offset_of!(Connection, snd) + size_of::<crate::tcp::state::SendHalf>() <= 52);
    assert!(offset_of!(Connection, incoming) <= 112, "{}", offset_of!(Connection, incoming));
}
