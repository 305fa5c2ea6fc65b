//! The receiving side: text in order and past holes, the ACKs and SACK blocks in response, the
//! offered window, and the memory behind it.

mod ack;
mod memory;
mod offer;
mod text;
