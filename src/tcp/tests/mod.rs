//! Packet scripts: the reaction of a connection to arriving segments, clause by clause of the RFCs,
//! in fake time. Also two ends that communicate over a channel that loses, reorders and duplicates.

// One sent segment is written as a list of one range.
#![allow(clippy::single_range_in_vec_init)]

mod acknowledging;
mod basics;
mod bounds;
mod buffers;
mod calls;
mod choices;
mod closing;
mod ecn;
mod ecn_opening;
mod fast_open;
mod flights;
mod forged;
mod hostile;
mod idle;
mod known_problems;
mod layout;
mod literals;
mod loss;
mod opening;
mod pacing;
mod path_search;
mod phases;
mod probing;
mod pushing;
mod racking;
mod receiving;
mod reducing;
mod repairing;
mod resets;
mod scoreboard;
mod script;
mod selecting;
mod selective;
mod sending;
mod stamping;
mod storm;
mod synchronized;
mod undoing;
mod unsynchronized;
mod urging;
mod wild;
mod windows;

use literals::{ack, bare, data, fin, rst, syn, text};
use script::Script;
