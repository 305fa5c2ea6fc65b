//! A server for the stock iperf3 client, over TCP, both directions.
//!
//! `linerate-examples iperf veth0 10.99.0.11/24`, then `iperf3 -c 10.99.0.11`, with `-R`, `--bidir`
//! and `-P` as desired. One test runs at a time; another client is refused, as iperf3's own server
//! does. The connections of a test meet on one worker, since the stack has one, on queue 0.
//!
//! | file | |
//! |---|---|
//! | `serve` | connections: each is the control of a test, or a stream of the one that runs |
//! | `control` | a test, state by state |
//! | `stream` | data in one direction |
//! | `protocol` | states, parameters, results on the wire |

mod control;
mod protocol;
mod serve;
mod stream;

pub(crate) use serve::main;
