//! The IP layer: addresses, duplicate address detection, neighbours, routes, router discovery, path MTUs,
//! reassembly, ARP and ICMP. Does not name the flow tables: what concerns a flow is a returned value.

pub(super) mod addresses;
pub(super) mod arp;
pub(super) mod dad;
pub(super) mod discovery;
pub(super) mod event;
pub(super) mod fragments;
pub(super) mod held;
pub(super) mod icmp;
pub(super) mod layer;
pub(super) mod locals;
pub(super) mod ndp;
pub(super) mod neighbour;
pub(super) mod neighbours;
pub(super) mod output;
pub(super) mod path_mtu;
pub(super) mod problems;
pub(super) mod reassembly;
pub(super) mod refusal;
pub(super) mod resolve;
pub(super) mod router_discovery;
pub(super) mod routers;
pub(super) mod routes;
pub(super) mod slaac;
