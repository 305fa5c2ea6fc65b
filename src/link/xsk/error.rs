//! Errors of opening an AF_XDP link, by cause, with a remedy.

use std::io;

use super::device;

/// Reason that an AF_XDP link could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is invalid.
    #[error("cannot open an AF_XDP socket: {0}")]
    BadConfig(&'static str),
    /// The interface does not exist in this network namespace.
    #[error(
        "no interface `{interface}` in this network namespace: `ip link` lists them (in a \
         namespace, run under `ip netns exec NAME`)"
    )]
    NoInterface {
        /// The requested interface.
        interface: String,
    },
    /// The interface has too few queues.
    #[error(
        "`{interface}` has no queue {queue}: it has {}, numbered from 0. Get more with `ethtool -L \
         {interface} combined {}` (a veth must be created with `numrxqueues` and `numtxqueues`)",
        available.map_or_else(|| "fewer".to_owned(), |n| n.to_string()), queue + 1
    )]
    NoQueue {
        /// The interface.
        interface: String,
        /// The requested queue.
        queue: u32,
        /// Number of queues, if known.
        available: Option<u32>,
    },
    /// Another AF_XDP socket is bound to the queue.
    #[error(
        "queue {queue} of `{interface}` is in use by another AF_XDP socket: stop that program (`ss \
         --xdp -p` names it), or use another queue"
    )]
    QueueBusy {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// The process lacks the privilege.
    #[error(
        "no permission to open an AF_XDP socket: run as root, or grant CAP_NET_RAW and \
         CAP_NET_ADMIN"
    )]
    NoPrivilege,
    /// The memory for frames exceeds the limit on locked memory.
    #[error(
        "the kernel refuses to pin {} KiB for frames: raise the limit (`ulimit -l unlimited`), \
         grant CAP_IPC_LOCK, or configure smaller rings", bytes / 1024
    )]
    MemoryLimit {
        /// Bytes required.
        bytes: usize,
    },
    /// Zero-copy is required but the driver does not support it.
    #[error(
        "the driver of `{interface}` does not support zero-copy here: use `auto` or copy mode \
         (veth and generic XDP never support it; some drivers need the XDP program attached in native \
         mode first)"
    )]
    NoZeroCopy {
        /// The interface.
        interface: String,
    },
    /// The kernel was built without AF_XDP.
    #[error("this kernel has no AF_XDP: it needs 5.4 or newer with CONFIG_XDP_SOCKETS=y")]
    NoKernelSupport,
    /// The interface is down.
    #[error("`{interface}` is down: `ip link set {interface} up`")]
    InterfaceDown {
        /// The interface.
        interface: String,
    },
    /// Any other error.
    #[error("cannot open an AF_XDP socket on queue {queue} of `{interface}`: {step}: {cause}")]
    Other {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// Operation that failed.
        step: &'static str,
        /// The kernel's error.
        cause: io::Error,
    },
}

/// Operation that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Registering this many bytes of memory, after opening the socket.
    Memory(usize),
    /// Binding the socket to its queue.
    Bind,
}

impl OpenError {
    pub(super) fn from_kernel(interface: &str, queue: u32, step: Step, cause: io::Error) -> Self {
        let interface = interface.to_owned();
        match (cause.raw_os_error().unwrap_or(0), step) {
            (libc::EAFNOSUPPORT, _) => Self::NoKernelSupport,
            (libc::EPERM | libc::EACCES, _) => Self::NoPrivilege,
            (libc::ENOBUFS | libc::ENOMEM, Step::Memory(bytes)) => Self::MemoryLimit { bytes },
            (libc::ENODEV | libc::ENXIO, Step::Bind) => Self::NoInterface { interface },
            (libc::EBUSY, Step::Bind) => Self::QueueBusy { interface, queue },
            (libc::EOPNOTSUPP, Step::Bind) => Self::NoZeroCopy { interface },
            (libc::ENETDOWN, Step::Bind) => Self::InterfaceDown { interface },
            (libc::EINVAL, Step::Bind) => match device::queues(&interface) {
                Some(available) if queue < available => Self::other(interface, queue, step, cause),
                available => Self::NoQueue { interface, queue, available },
            },
            _ => Self::other(interface, queue, step, cause),
        }
    }

    fn other(interface: String, queue: u32, step: Step, cause: io::Error) -> Self {
        let step = match step {
            Step::Memory(_) => "registering the memory of the frames",
            Step::Bind => "binding the socket",
        };
        Self::Other { interface, queue, step, cause }
    }
}

/// Extracts the kernel's error from an error of xsk-rs.
pub(super) fn cause_of(error: &(dyn std::error::Error + 'static)) -> io::Error {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error)
        .map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: i32, step: Step) -> String {
        OpenError::from_kernel("lr-none", 3, step, io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn every_error_includes_a_remedy() {
        let memory = Step::Memory(8 << 20);
        for (errno, step, advice) in [
            (libc::EPERM, memory, "run as root"),
            (libc::EAFNOSUPPORT, memory, "CONFIG_XDP_SOCKETS"),
            (libc::ENOBUFS, memory, "8192 KiB"),
            (libc::ENODEV, Step::Bind, "`ip link` lists them"),
            (libc::EBUSY, Step::Bind, "ss --xdp"),
            (libc::EOPNOTSUPP, Step::Bind, "copy mode"),
            (libc::EINVAL, Step::Bind, "ethtool -L lr-none combined 4"),
            (libc::ENETDOWN, Step::Bind, "ip link set lr-none up"),
            (libc::EIO, Step::Bind, "queue 3 of `lr-none`: binding the socket: "),
        ] {
            let text = refused(errno, step);
            assert!(text.contains(advice), "{errno}: {text}");
        }
    }
}
