//! Setup: checks a configuration against this host, and makes shards from it. All errors of a
//! configuration are found here or when the links are opened, before a thread starts.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::budget::{Budget, Share};
use super::capture::Capture;
use super::config::{Role, StackConfig};
use super::cores::{CoreGuard, Cores};
use super::error::StartError;
use super::opened::Opened;
use super::steering::steering;
use crate::link::Link;
use crate::link::impair::{Impaired, Impairments};
use crate::shard::{Config, Shard};
use crate::wire::ethernet::MacAddr;
use crate::xdp;

/// A configuration that was checked against the cores, addresses and ports of this host.
pub(super) struct Plan<'a> {
    pub(super) config: &'a StackConfig,
    cores: Cores,
    secret: [u8; 32],
    /// Key of the interface identifiers, see [`stable_key`].
    stable_key: [u8; 16],
}

impl<'a> Plan<'a> {
    /// Checks a configuration against the kernel's cores, addresses and ports.
    pub(super) fn make(config: &'a StackConfig) -> Result<Self, StartError> {
        let secret = draw()?;
        let plan = Self { config, cores: Cores::read(), secret, stable_key: stable_key(&secret) };
        plan.check_cores()?;
        plan.check_addresses()?;
        plan.check_ports()?;
        Ok(plan)
    }

    /// Returns true if the workers follow the kernel's tables: where the kernel owns the addresses.
    pub(super) fn mirror_wanted(&self) -> bool {
        self.config.role == Role::Shared
    }

    fn check_cores(&self) -> Result<(), StartError> {
        let available = self.cores.numbers();
        let mut configured = self.config.cores.iter();
        // If the kernel does not list its cores, accept the configuration.
        match configured.find(|core| !available.is_empty() && !available.contains(core)) {
            Some(core) => Err(StartError::NoSuchCore { core: *core, available }),
            None => Ok(()),
        }
    }

    /// Returns problems with the cores of the workers. Call it once the sockets are open: drivers
    /// request their interrupts again when a program is attached, and may get them on other cores.
    pub(super) fn core_problems(&self) -> Vec<String> {
        let queues = self.config.queues.as_slice().iter().copied();
        let workers: Vec<(u32, usize)> = queues.zip(self.config.cores.iter().copied()).collect();
        let name = &self.config.interface;
        self.cores.problems(name, &xdp::locality(name), &workers)
    }

    /// On a machine with several NUMA nodes, moves the calling thread to the core of worker
    /// `number`, so that memory comes from the worker's node.
    pub(super) fn move_to_core_of(&self, number: usize) -> Option<CoreGuard> {
        let core = self.config.cores.get(number).filter(|_| self.cores.span_nodes())?;
        CoreGuard::move_to(*core)
    }

    fn check_addresses(&self) -> Result<(), StartError> {
        for (address, _) in &self.config.addresses {
            let is_kernels = is_kernels(*address);
            match self.config.role {
                Role::Exclusive if is_kernels => {
                    return Err(StartError::AddressInUse { address: *address });
                }
                Role::Shared if !is_kernels => {
                    let interface = self.config.interface.clone();
                    return Err(StartError::AddressNotShared { address: *address, interface });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), StartError> {
        if self.config.role == Role::Exclusive {
            return Ok(());
        }
        for listener in &self.config.listeners {
            for (address, _) in &self.config.addresses {
                let bound = TcpListener::bind((*address, listener.port));
                let in_use = bound.is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse);
                if in_use {
                    return Err(StartError::PortInUse { port: listener.port });
                }
            }
        }
        Ok(())
    }

    /// Adds the recorder and the impairments to a link. The recorder sees the frames on the wire,
    /// so it is the inner one.
    pub(super) fn wrap(
        &self,
        link: Box<dyn Link + Send>,
        capture: &Capture,
        number: usize,
    ) -> Box<dyn Link + Send> {
        let link = capture.tap(link);
        match self.config.impairments {
            Some(impairments) => {
                let seed = impairments.seed.wrapping_add(number as u64);
                Box::new(Impaired::new(link, &Impairments { seed, ..impairments }))
            }
            None => link,
        }
    }

    /// Returns the memory budget of all workers, if it is bounded.
    pub(super) fn budget(&self) -> Option<Arc<Budget>> {
        let workers = self.config.queues.as_slice().len();
        self.config.memory_total.map(|bytes| Budget::new(bytes, workers))
    }

    /// Returns a worker's share of the budget.
    pub(super) fn share(&self, budget: Option<&Arc<Budget>>) -> Option<Share> {
        budget.map(|budget| Share::new(budget, self.config.limits.buffer_bytes))
    }

    /// Creates the shard of worker `number` and opens its listeners.
    pub(super) fn shard(&self, number: usize, opened: &Opened) -> Result<Shard, StartError> {
        let config = self.config;
        let mut shard = Shard::new(Config {
            limits: config.limits,
            settings: config.settings.clone(),
            mac: MacAddr(opened.mac),
            mtu: opened.mtu,
            addresses: config.addresses.clone(),
            gateway_v4: config.gateway_v4,
            gateway_v6: config.gateway_v6,
            role: config.role,
            worker: number as u16,
            workers: config.queues.as_slice().len() as u16,
            secret: self.secret,
            steering: steering(opened.probe.rss.as_ref(), config.queues.as_slice()),
            ports: self.source_ports(),
            accept_partial_checksums: config.accept_partial_checksums,
            dad: config.dad,
            autoconf: config.autoconf.then_some(self.stable_key),
            hop_limit: config.hop_limit,
        });
        for listener in &config.listeners {
            let opened = shard.listen(*listener);
            opened.map_err(|error| StartError::Listen { port: listener.port, error })?;
        }
        Ok(shard)
    }

    pub(super) fn source_ports(&self) -> RangeInclusive<u16> {
        let configured = self.config.source_ports.clone();
        configured.unwrap_or_else(|| StackConfig::ports_of(self.config.role))
    }
}

/// Returns true if the kernel has an address: only such an address can be bound. Where the kernel
/// has no IPv4 address at all, as in a new network namespace, it lets all of them be bound
/// (net/ipv4/fib_frontend.c: without a local table every address counts as broadcast).
fn is_kernels(address: IpAddr) -> bool {
    let has_ipv4 = || {
        let listed = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let mut addresses = listed.filter_map(|interface| interface.address);
        addresses.any(|address| address.as_sockaddr_in().is_some())
    };
    UdpSocket::bind((address, 0)).is_ok() && (address.is_ipv6() || has_ipv4())
}

/// Returns the machine-id(5), which makes interface identifiers the same at every start. They do
/// not reveal it, since it only keys their hash (RFC 7217 §5). Falls back to `drawn` where the
/// machine has none.
fn stable_key(drawn: &[u8; 32]) -> [u8; 16] {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match u128::from_str_radix(id.trim(), 16) {
        Ok(id) if id != 0 => id.to_be_bytes(),
        _ => core::array::from_fn(|at| drawn[at]),
    }
}

/// Draws random bytes from the operating system: the secret that keys the flow hash, the initial
/// sequence numbers and the cookies; an Ethernet address.
pub(super) fn draw<const N: usize>() -> Result<[u8; N], StartError> {
    let mut drawn = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut drawn))
        .map_err(StartError::system("drawing random bytes from /dev/urandom"))?;
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ() {
        assert_ne!(draw::<32>().unwrap(), draw().unwrap());
    }
}
