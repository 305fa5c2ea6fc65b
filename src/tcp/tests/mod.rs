//! Packet scripts: what a connection answers to what arrives, clause by clause of the RFCs, in fake
//! time. And two ends that talk through a channel that loses, reorders and duplicates.

mod layout;
mod opening;
mod script;

use script::{Script, ack, bare, data, rst, syn, text};
