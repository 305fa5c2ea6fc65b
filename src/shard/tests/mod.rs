//! The shard's parts against simple models of them, and in the situations they were made for.

mod adversity;
mod black_hole;
mod blind;
mod census;
mod choices;
mod claims;
mod ecn;
mod end_to_end;
mod fast_open;
mod flood;
mod flow_labels;
mod flow_table;
mod fragments;
mod neighbours;
mod orphans;
mod path_mtu;
mod ports;
mod raw;
mod routes;
mod segment_sizes;
mod stage;
mod states;
mod strangers;
mod tables;
mod wheel;
mod workers;
