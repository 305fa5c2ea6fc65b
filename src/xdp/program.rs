//! The loaded program with its sockets, claims and counters.
//!
//! Owns the handles of the program and its maps. Dropping it detaches the program; so does the end
//! of the process, for any reason.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use aya::maps::{MapData, PerCpuArray, XskMap};
use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::attach::{self, Attachment, Live};
use super::attach_error::AttachError;
use super::claims::{Claim, Claims, Policy, SteerError};
use super::counters::{Counters, Verdict};
use super::hints::Hints;
use super::maps::{MapFds, absent_is_ok, fd_of, take_map};
use super::mode::XdpMode;
use super::{hints_program, layout};

/// Maximum number of queues of an interface with a socket.
pub const QUEUES_MAX: u32 = layout::QUEUES_MAX;

/// Compiled from bpf/linerate.bpf.c by build.rs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/linerate.bpf.o"));

/// Name of the function in bpf/linerate.bpf.c.
const NAME: &str = "linerate";

/// The XDP program in the kernel, attached to at most one interface.
pub struct Program {
    // Declared first, so dropped first: the program is detached before its maps are closed.
    live: Option<Live>,
    ebpf: Ebpf,
    sockets: XskMap<MapData>,
    counters: PerCpuArray<MapData, u64>,
    claims: Claims,
    /// Descriptors of the maps that the fields above own.
    map_fds: MapFds,
    wanted: Hints,
}

/// Result of a test run on one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TestRun {
    /// `XDP_PASS`.
    Passed,
    /// `XDP_REDIRECT`, to the socket of the queue.
    Redirected,
    /// Any other action; the program never returns one on purpose.
    Other(u32),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("attachment", &self.attachment()).finish_non_exhaustive()
    }
}

impl Program {
    /// Loads the program into the kernel, without claims and unattached.
    pub fn load() -> Result<Self, AttachError> {
        attach::check_kernel()?;
        // The object has no CO-RE relocations, so skip reading the kernel's BTF (6 MB).
        let mut ebpf =
            EbpfLoader::new().btf(None).load(OBJECT).map_err(AttachError::from_object)?;
        let map_fds = ebpf.maps().filter_map(|(name, map)| fd_of(name, map)).collect::<Vec<_>>();
        let maps = take_map(&mut ebpf, "sockets").and_then(|sockets| {
            Ok((sockets, take_map(&mut ebpf, "counters")?, Claims::take(&mut ebpf)?))
        });
        let (sockets, counters, claims) = maps.map_err(AttachError::from_map)?;
        let wanted = Hints { vlan: true, ..Hints::default() };
        let mut program = Self { live: None, ebpf, sockets, counters, claims, map_fds, wanted };
        program.xdp().and_then(Xdp::load).map_err(AttachError::from_load)?;
        Ok(program)
    }

    /// Sets the metadata that frames should carry if available, from the next
    /// [`attach`](Self::attach) on. The default is the VLAN tag alone, which the stack requires.
    pub const fn set_hints(&mut self, wanted: Hints) {
        self.wanted = wanted;
    }

    /// Attaches to an interface, by a link that the kernel removes when this process ends.
    pub fn attach(&mut self, interface: &str, mode: XdpMode) -> Result<&Attachment, AttachError> {
        self.detach();
        let xdp = self.xdp().map_err(AttachError::from_load)?;
        let mut live = attach::attach(xdp, interface, mode)?;
        hints_program::add(&mut live, OBJECT, &self.map_fds, self.wanted);
        Ok(&self.live.insert(live).attachment)
    }

    /// Combines [`Program::load`] and [`Program::attach`].
    pub fn load_and_attach(interface: &str, mode: XdpMode) -> Result<Self, AttachError> {
        let mut program = Self::load()?;
        program.attach(interface, mode)?;
        Ok(program)
    }

    /// Detaches the program. Call this before closing the sockets: a frame redirected to a socket
    /// that is being closed is lost.
    pub fn detach(&mut self) {
        self.live = None;
    }

    /// Returns the attachment; `None` if not attached.
    pub fn attachment(&self) -> Option<&Attachment> {
        self.live.as_ref().map(|live| &live.attachment)
    }

    /// Redirects claimed frames of `queue` to this AF_XDP socket from now on. The socket must be
    /// bound to that queue. The kernel removes a socket when it is closed.
    pub fn insert_socket(&mut self, queue: u32, socket: impl AsRawFd) -> Result<(), SteerError> {
        in_range(queue)?;
        self.sockets
            .set(queue, socket, 0)
            .map_err(SteerError::kernel(format!("adding a socket to queue {queue}")))
    }

    /// Passes all frames of `queue` to the kernel from now on.
    pub fn remove_socket(&mut self, queue: u32) -> Result<(), SteerError> {
        in_range(queue)?;
        absent_is_ok(self.sockets.unset(queue))
            .map_err(SteerError::kernel(format!("removing the socket of queue {queue}")))
    }

    /// Sets the treatment of traffic to claimed addresses.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), SteerError> {
        self.claims.set_policy(policy)
    }

    /// Claims an address. Idempotent.
    pub fn claim_address(&mut self, address: IpAddr) -> Result<(), SteerError> {
        self.claims.claim_address(address)
    }

    /// Unclaims an address. Idempotent.
    pub fn unclaim_address(&mut self, address: IpAddr) -> Result<(), SteerError> {
        self.claims.unclaim_address(address)
    }

    /// Claims TCP ports, for [`Role::Shared`](super::Role::Shared).
    pub fn claim_ports(&mut self, ports: RangeInclusive<u16>) -> Result<(), SteerError> {
        self.claims.set_ports(ports, Claim::Claimed)
    }

    /// Unclaims TCP ports.
    pub fn unclaim_ports(&mut self, ports: RangeInclusive<u16>) -> Result<(), SteerError> {
        self.claims.set_ports(ports, Claim::Unclaimed)
    }

    /// Returns the counters since the program was loaded.
    pub fn counters(&self) -> Result<Counters, SteerError> {
        let mut counters = Counters::default();
        for verdict in Verdict::ALL {
            let by_cpu = self
                .counters
                .get(&(verdict as u32), 0)
                .map_err(SteerError::kernel("reading the counters of the XDP program"))?;
            for frames in by_cpu.iter() {
                counters.add(verdict, *frames);
            }
        }
        Ok(counters)
    }

    /// Runs the program on one frame, as if it arrived on queue 0 of `lo`; nothing is sent. The
    /// kernel rejects frames shorter than an Ethernet header.
    pub fn test_run(&self, frame: &[u8]) -> Result<TestRun, ProgramError> {
        let Some(program) = self.ebpf.program(NAME) else { return Err(ProgramError::NotLoaded) };
        let xdp: &Xdp = program.try_into()?;
        let answer = xdp.test_run(TestRunOptions { data_in: Some(frame), ..Default::default() })?;
        Ok(match answer.return_value {
            XDP_PASS => TestRun::Passed,
            XDP_REDIRECT => TestRun::Redirected,
            other => TestRun::Other(other),
        })
    }

    fn xdp(&mut self) -> Result<&mut Xdp, ProgramError> {
        self.ebpf.program_mut(NAME).ok_or(ProgramError::NotLoaded)?.try_into()
    }
}

/// linux/bpf.h, `enum xdp_action`.
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

fn in_range(queue: u32) -> Result<(), SteerError> {
    if queue < QUEUES_MAX { Ok(()) } else { Err(SteerError::QueueOutOfRange { queue }) }
}
