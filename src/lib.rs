//! `linerate`: a kernel-bypass TCP/IP stack.
//!
//! An XDP program redirects the packets of a NIC queue into AF_XDP rings; pinned worker threads run
//! a lock-free, batched TCP state machine on those rings. Cores share nothing; a worker owns a
//! queue, the flows that land there, and all their memory.
//!
//! # A program
//!
//! The way in is [`net`]: async programs on the worker's own thread. This one echoes what it
//! receives:
//!
//! ```no_run
//! # #[cfg(feature = "host")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use linerate::StackConfig;
//! use linerate::net::{self, TcpListener, copy, spawn};
//!
//! let config = StackConfig::new("eth0", vec![("10.0.0.2".parse()?, 24)]);
//! net::run(&config, async |_worker| -> std::io::Result<()> {
//!     let listener = TcpListener::bind("0.0.0.0:7").await?;
//!     loop {
//!         let (mut stream, _peer) = listener.accept().await?;
//!         spawn(async move {
//!             let (mut read, mut write) = stream.split();
//!             copy(&mut read, &mut write).await
//!         });
//!     }
//! })?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "host"))]
//! # fn main() {}
//! ```
//!
//! Below it, a program is a [`Service`]: callbacks that run on the worker's thread, the least that
//! a program can cost.
//!
//! ```no_run
//! # #[cfg(feature = "host")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use linerate::{ConnId, Duration, Io, ListenerConfig, Service, Shutdown, Stack, StackConfig};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
//!         let mut buffer = [0; 4096];
//!         loop {
//!             // Take only what the send buffer accepts: what is left closes the window.
//!             let waiting = io.peek(conn)[0];
//!             let n = waiting.len().min(buffer.len());
//!             buffer[..n].copy_from_slice(&waiting[..n]);
//!             let n = io.write(conn, &buffer[..n]);
//!             if n == 0 {
//!                 break;
//!             }
//!             io.consume(conn, n);
//!         }
//!     }
//!     fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
//!         self.on_readable(io, conn);
//!     }
//! }
//!
//! let mut config = StackConfig::new("eth0", vec![("10.0.0.2".parse()?, 24)]);
//! config.listeners = vec![ListenerConfig::on_port(7)];
//! let stack = Stack::start(&config, |_worker| Box::new(Echo))?;
//! // Events say what an operator should know. Reading them is optional.
//! let events = stack.events();
//! while stack.is_running() {
//!     if let Some(event) = events.recv_timeout(std::time::Duration::from_secs(1)) {
//!         eprintln!("note: {event}");
//!     }
//! }
//! stack.stop(Shutdown::Close { grace: Duration::from_secs(1) });
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "host"))]
//! # fn main() {}
//! ```
//!
//! # The layers
//!
//! A layer is a folder; its `mod.rs` is its contract. Imports point down, and `tests/source.rs`
//! checks it. `ARCHITECTURE.md` has the map of the folders.
//!
//! ```text
//!   linerate-cli   linerate-packetdrill   other crates
//!         \            │            /
//!                    net                 async programs, handles for other threads
//!              /           \
//!        runtime      sim                threads and real time | a seeded world and fake time
//!              \     /
//!               shard                    one core's stack; alone knows both wire and tcp
//!         ┌──────┼────────┐
//!       wire    tcp     link     xdp     siblings; runtime joins xdp to link
//!         └──────┴────┬───┴──────┘
//!     limits   time   rng   role   metrics
//! ```
//!
//! | layer | what it is | knows nothing of |
//! |---|---|---|
//! | [`wire`] | bytes to fields, fields to bytes | `std`, the protocol |
//! | [`tcp`] | the protocol, sans-IO: facts in, questions out | bytes, cores, clocks |
//! | [`link`] | frames in and out, in batches | the contents of a frame |
//! | `xdp` | the BPF program: loading, attaching, claiming; probing the NIC | frames |
//! | [`shard`] | one core's stack: pipeline, flow table, timers, listeners, IP | threads, real time |
//! | `runtime` | pinned workers, queues between them, housekeeping | segments |
//! | [`net`] | async programs: executor, streams, the stack from other threads | TCP, frames |
//! | [`sim`] | a deterministic network around the same shards | threads, real time |
//!
//! # Life of a packet
//!
//! `link/xsk` → `shard/rx/parse` → `wire/*` → `shard/codec` → `shard/rx/demux` → `tcp/arrive` →
//! `tcp/receive` → `shard/app/events` → the program's [`shard::Service`] … `tcp/send` →
//! `shard/tx/pending` → `shard/codec` → `wire/*` → `link/xsk`. The simulator replaces only the two
//! ends. `shard/codec` is the one place where received bytes are checked and become typed. Between
//! look-up and protocol a batch is reordered: one kind of flow after the other (`shard/rx/groups`),
//! the segments of each flow in order of arrival.
//!
//! # Life of a frame
//!
//! A [`link::Frame`] is an unclonable ticket for one buffer of a link's memory. It is posted on the
//! fill ring, comes back on the rx ring, is read by the shard and released; or it is
//! taken from the free list, filled, put on the tx ring, and comes back through the completion
//! ring. The sum of posted, held and free frames never changes, and is asserted.
//!
//! # Three kinds of connection
//!
//! They differ in size and lifetime, so they are separate types; moving from one to the next
//! happens once in a lifetime. All are found through one flow table of 8-byte slots.
//!
//! | kind | states | bytes, key included | bounded by |
//! |---|---|---|---|
//! | [`tcp::Embryo`] | SYN-RECEIVED of a passive open | 48 | the SYN table; past it, SYN cookies |
//! | [`tcp::Connection`] | SYN-SENT, ESTABLISHED … LAST-ACK; SYN-RECEIVED of a simultaneous or a fast open | at most 320; buffers only while they hold data | the slab |
//! | [`tcp::TimeWait`] | TIME-WAIT | 32 | a FIFO by deadline; past it, the oldest goes early |
//!
//! SYN-SENT is a [`tcp::Connection`] rather than an embryo: the program holds its handle from
//! `connect` on and may write or close before the handshake completes, and a remote host cannot
//! flood the stack with active opens. The same holds for a passive open whose SYN carries data and
//! a valid cookie (RFC 7413): the program reads the data before the handshake completes.
//!
//! # Reading order
//!
//! [`shard::Service`] and [`shard::Io`], the program's interface; `shard/turn`, one turn of a
//! worker; `tcp/arrive`, RFC 9293 §3.10.7.4 step by step; `tcp/send/transmit`, the plan of the next
//! segment; `link/contract`, the life of a frame; `runtime/stack`, how a stack starts and stops.

#[cfg(all(doctest, feature = "xdp"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod limits;
pub mod link;
pub mod metrics;
pub mod net;
pub mod rng;
pub mod role;
#[cfg(feature = "host")]
pub mod runtime;
pub mod shard;
pub mod sim;
pub mod tcp;
pub mod time;
pub mod wire;
#[cfg(feature = "host")]
pub mod xdp;

pub use role::Role;
#[cfg(feature = "control")]
pub use runtime::control::{ControlError, ControlSocket};
#[cfg(feature = "host")]
pub use runtime::{
    Cores, IdlePolicy, Observer, Queues, Report, Shutdown, Silent, Stack, StackConfig, StackEvent,
    StackEvents, StartError, WorkerReport,
};
pub use shard::{
    Algorithm, CloseReason, ConnId, ConnInfo, ConnectError, ConnectOptions, DadConfig, Early,
    FastOpenListener, Io, KeepAlive, ListenError, ListenerConfig, ListenerId, ListenerOptions,
    Memory, Service, ServiceMux, ServiceWaker, SocketOption, SoftError, Status, SynData,
};
pub use time::{Duration, Instant};
