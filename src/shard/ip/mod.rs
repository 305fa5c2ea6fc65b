//! The IP layer: local addresses, duplicate address detection, neighbour cache, routes, router
//! discovery, SLAAC, path MTUs, reassembly, ARP and ICMP.
//!
//! Refuses to know the flow tables: what concerns a flow is a returned [`event::IpEvent`]. TCP asks
//! it for next hops, path MTUs and local addresses. The types are in files named after them. The
//! methods of [`layer::Ip`] are in:
//!
//! | file | |
//! |---|---|
//! | `addresses` | duplicate address detection, announcement and defence of local addresses |
//! | `arp`, `icmp`, `ndp`, `problems`, `fragments` | input of packets that are not segments |
//! | `output` | output of ARP, ICMP and neighbour discovery |
//! | `resolve` | next hops, address resolution, and frames that wait for it |
//! | `router_discovery` | router advertisements, redirects, SLAAC |

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
