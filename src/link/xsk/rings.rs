//! The four rings of one socket, shared with the kernel.
//!
//! Only the link's own [`Chunks`](super::umem::Chunks) creates the descriptors in this folder.
//! These functions move descriptors and never keep them: a produced descriptor belongs to the
//! kernel, a consumed one to the link. That is the contract of every `unsafe` call of xsk-rs below.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::thread;

use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::choices::Mode;
use super::config::Config;
use super::error::{OpenError, Step, cause_of};
use super::kick::KickResult;
use super::options;

/// A queue stays busy for a while after its last socket was closed. The kernel releases it in a
/// work item that needs the lock of all network configuration (net/xdp/xsk_buff_pool.c,
/// `xp_release_deferred`), which the removal of a namespace may hold for a second. Two seconds:
/// with less, a restart on a busy host fails; with more, a queue in use by another program takes
/// long to report.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: core::time::Duration = core::time::Duration::from_millis(20);

/// Descriptors per packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PacketBuffers {
    /// One; the kernel drops longer packets.
    Single,
    /// One or more.
    Multiple,
}

/// Rings of a bound socket.
pub(super) struct Rings {
    rx: RxQueue,
    tx: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
    fd: RawFd,
    tx_ring: usize,
}

impl Rings {
    /// Binds a socket over `umem` to the queue of `config`, for packets of one or of several
    /// descriptors.
    pub(super) fn bind(
        config: &Config,
        umem: &Umem,
        packets: PacketBuffers,
    ) -> Result<Self, OpenError> {
        let socket_config = socket_config(config, packets)?;
        let interface: Interface = config
            .interface
            .parse()
            .map_err(|_| OpenError::BadConfig("an interface name contains no zero byte"))?;
        let mut tries = 0;
        let (tx, rx, shared) = loop {
            // SAFETY: the UMEM belongs to this link and has no other socket.
            match unsafe { Socket::new(socket_config, umem, &interface, config.queue) } {
                Ok(made) => break made,
                Err(error) => {
                    let cause = cause_of(&error);
                    tries += 1;
                    if cause.raw_os_error() != Some(libc::EBUSY) || tries == BUSY_TRIES {
                        return Err(OpenError::from_kernel(
                            &config.interface,
                            config.queue,
                            Step::Bind,
                            cause,
                        ));
                    }
                    thread::sleep(BUSY_PAUSE);
                }
            }
        };
        let Some((fill, completion)) = shared else {
            return Err(OpenError::BadConfig("the memory already has a socket"));
        };
        let fd = tx.fd().as_raw_fd();
        options::close_on_exec(fd).map_err(|cause| {
            OpenError::from_kernel(&config.interface, config.queue, Step::Bind, cause)
        })?;
        Ok(Self { rx, tx, fill, completion, fd, tx_ring: config.tx_ring as usize })
    }

    /// Returns the socket.
    pub(super) const fn fd(&self) -> RawFd {
        self.fd
    }

    /// Consumes received packets from the RX ring.
    #[inline]
    pub(super) fn receive(&mut self, descs: &mut [FrameDesc]) -> usize {
        // SAFETY: see the contract at the top of this file.
        unsafe { self.rx.consume(descs) }
    }

    /// Produces packets on the TX ring, as many as it has room for.
    #[inline]
    pub(super) fn send(&mut self, descs: &[FrameDesc]) -> usize {
        let room = self.tx.nb_free(descs.len() as u32) as usize;
        // SAFETY: see the contract at the top of this file. The ring accepts all or none, so offer
        // what fits.
        unsafe { self.tx.produce(&descs[..room.min(descs.len())]) }
    }

    /// Produces chunks on the fill ring, as many as it has room for.
    #[inline]
    pub(super) fn post(&mut self, descs: &[FrameDesc]) -> usize {
        let room = self.fill.nb_free(descs.len() as u32) as usize;
        // SAFETY: see the contract at the top of this file. The ring accepts all or none, so offer
        // what fits.
        unsafe { self.fill.produce(&descs[..room.min(descs.len())]) }
    }

    /// Consumes sent chunks from the completion ring.
    #[inline]
    pub(super) fn complete(&mut self, descs: &mut [FrameDesc]) -> usize {
        // SAFETY: see the contract at the top of this file.
        unsafe { self.completion.consume(descs) }
    }

    /// Returns the number of descriptors on the TX ring that the kernel has not consumed.
    #[inline]
    pub(super) fn queued(&mut self) -> usize {
        self.tx_ring - self.tx.nb_free_exact() as usize
    }

    /// Returns true if the kernel needs a kick to send.
    #[inline]
    pub(super) fn tx_needs_kick(&self) -> bool {
        self.tx.needs_wakeup()
    }

    /// Returns true if the kernel needs a kick to receive.
    #[inline]
    pub(super) fn rx_needs_kick(&self) -> bool {
        self.fill.needs_wakeup()
    }

    /// Kicks the kernel to send.
    #[inline]
    pub(super) fn kick_tx(&self) -> KickResult {
        options::kick_tx(self.fd)
    }

    /// Kicks the kernel to receive.
    #[inline]
    pub(super) fn kick_rx(&self) {
        options::kick_rx(self.fd);
    }

    /// Returns the packets that the kernel dropped on receive and the descriptors it rejected on
    /// transmit.
    pub(super) fn kernel_drops(&self) -> io::Result<(u64, u64)> {
        let counted = self.tx.fd().xdp_statistics()?;
        Ok((counted.rx_dropped() + counted.rx_ring_full(), counted.tx_invalid_descs()))
    }
}

fn socket_config(config: &Config, packets: PacketBuffers) -> Result<SocketConfig, OpenError> {
    let (Ok(rx), Ok(tx)) = (QueueSize::new(config.rx_ring), QueueSize::new(config.tx_ring)) else {
        return Err(OpenError::BadConfig("ring sizes are powers of two"));
    };
    // With neither flag the kernel tries zero-copy and falls back to copy mode.
    let mut flags = match config.mode {
        Mode::Auto => BindFlags::empty(),
        Mode::Copy => BindFlags::XDP_COPY,
        Mode::ZeroCopy => BindFlags::XDP_ZEROCOPY,
    };
    flags.set(BindFlags::XDP_USE_NEED_WAKEUP, config.need_wakeup);
    flags.set(BindFlags::XDP_USE_SG, packets == PacketBuffers::Multiple);
    Ok(SocketConfig::builder()
        .rx_queue_size(rx)
        .tx_queue_size(tx)
        .bind_flags(flags)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .build())
}
