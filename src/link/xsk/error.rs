//! Why an AF_XDP link could not be opened, by cause, with what to do about it.

use std::io;

use super::{Config, device};

/// Why an AF_XDP link could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A size that no socket can have.
    #[error("cannot open an AF_XDP socket: {0}")]
    BadConfig(&'static str),
    /// There is no such interface in this network namespace.
    #[error(
        "no interface `{interface}` in this network namespace: `ip link` lists them (in a namespace, \
         run under `ip netns exec NAME`)"
    )]
    NoInterface {
        /// What was asked for.
        interface: String,
    },
    /// The interface has too few queues.
    #[error(
        "`{interface}` has no queue {queue}: it has {}, numbered from 0. Get more with `ethtool -L \
         {interface} combined {}` (a veth must be created with `numrxqueues` and `numtxqueues`)",
        there.map_or_else(|| "fewer".to_owned(), |n| n.to_string()), queue + 1
    )]
    NoQueue {
        /// The interface.
        interface: String,
        /// What was asked for.
        queue: u32,
        /// How many it has, where that can be told.
        there: Option<u32>,
    },
    /// Another AF_XDP socket is bound to the queue.
    #[error(
        "queue {queue} of `{interface}` is taken by another AF_XDP socket: stop that program (`ss \
         --xdp -p` names it), or take another queue"
    )]
    QueueBusy {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// The process may not.
    #[error(
        "no permission to open an AF_XDP socket: run as root, or give CAP_NET_RAW and CAP_NET_ADMIN"
    )]
    NoPrivilege,
    /// The memory of the frames may not be pinned.
    #[error(
        "the kernel refuses to pin {} KiB for frames: raise the limit (`ulimit -l unlimited`), give \
         CAP_IPC_LOCK, or ask for smaller rings", bytes / 1024
    )]
    MemoryLimit {
        /// How much was needed.
        bytes: usize,
    },
    /// Zero-copy was demanded and the driver does not have it.
    #[error(
        "the driver of `{interface}` has no zero-copy here: use `auto` or copy mode (veth and generic \
         XDP never have it; some drivers need the XDP program attached in native mode first)"
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
    /// Anything else.
    #[error("cannot open an AF_XDP socket on queue {queue} of `{interface}`: {step}: {cause}")]
    Other {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
}

/// What was being done when the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Registering that many bytes of memory, after opening the socket.
    Memory(usize),
    /// Binding the socket to its queue.
    Bind,
}

impl OpenError {
    pub(super) fn from_kernel(config: &Config, step: Step, cause: io::Error) -> Self {
        let (interface, queue) = (config.interface.clone(), config.queue);
        match (cause.raw_os_error().unwrap_or(0), step) {
            (libc::EAFNOSUPPORT, _) => Self::NoKernelSupport,
            (libc::EPERM | libc::EACCES, _) => Self::NoPrivilege,
            (libc::ENOBUFS | libc::ENOMEM, Step::Memory(bytes)) => Self::MemoryLimit { bytes },
            (libc::ENODEV | libc::ENXIO, Step::Bind) => Self::NoInterface { interface },
            (libc::EBUSY, Step::Bind) => Self::QueueBusy { interface, queue },
            (libc::EOPNOTSUPP, Step::Bind) => Self::NoZeroCopy { interface },
            (libc::ENETDOWN, Step::Bind) => Self::InterfaceDown { interface },
            (libc::EINVAL, Step::Bind) => match device::queues(&interface) {
                Some(there) if queue < there => Self::other(config, step, cause),
                there => Self::NoQueue { interface, queue, there },
            },
            _ => Self::other(config, step, cause),
        }
    }

    fn other(config: &Config, step: Step, cause: io::Error) -> Self {
        let step = match step {
            Step::Memory(_) => "registering the memory of the frames",
            Step::Bind => "binding it",
        };
        Self::Other { interface: config.interface.clone(), queue: config.queue, step, cause }
    }
}

/// The kernel's answer inside an error of xsk-rs.
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
        let config = Config::new("lr-none", 3);
        OpenError::from_kernel(&config, step, io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn every_refusal_says_what_to_do() {
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
            (libc::EIO, Step::Bind, "queue 3 of `lr-none`: binding it: "),
        ] {
            let text = refused(errno, step);
            assert!(text.contains(advice), "{errno}: {text}");
        }
    }
}
