//! The receiving side: text in order and past holes, the ACKs and SACK blocks that answer it, the window that
//! is offered, and the memory behind that window.

mod ack;
mod memory;
mod offer;
mod text;
