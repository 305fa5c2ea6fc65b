//! The IP layer: local addresses, duplicate address detection, neighbour cache, routes, router
//! discovery, path MTUs, reassembly, ARP and ICMP.
//!
//! Refuses to know the flow tables: what concerns a flow is a returned [`event::IpEvent`]. TCP asks
//! it for the next hop, the path MTU and a local address by its number. Types are in the files
//! named by a noun; the steps of [`layer::Ip`] are in:
//!
//! | file | |
//! |---|---|
//! | `addresses` | local addresses are verified before use, and defended afterwards |
//! | `arp`, `icmp`, `ndp`, `problems`, `fragments` | packets that are not segments |
//! | `output` | packets of the layer's own, written into frames |
//! | `resolve` | next hops, and frames that wait for a neighbour |
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
