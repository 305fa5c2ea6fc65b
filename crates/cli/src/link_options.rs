//! The options of the link between linerate's stack and its network.

use clap::{Args, ValueEnum};
use linerate::runtime::{LinkKind, TapConfig};

use super::network::Cidr;

/// Name of the TAP device without --interface.
const TAP_NAME: &str = "tap0";

/// The kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Link {
    /// AF_XDP on a network interface.
    Xdp,
    /// A TAP device that the stack creates: this host's kernel is its network. Needs no root inside
    /// `unshare -rn`; slower than AF_XDP.
    Tap,
}

/// The link between linerate's stack and its network.
#[derive(Args, Clone, Debug)]
pub(crate) struct LinkOptions {
    /// Link of linerate's stack: AF_XDP on an interface, or a TAP device to this host's kernel,
    /// which works without root: `unshare -rn linerate serve --link tap …`
    #[arg(long, value_enum, default_value = "xdp")]
    pub link: Link,

    /// Address of the kernel on the TAP device; repeat for several [default with --link tap: in the
    /// network of each --address, the first address that the stack does not have]
    #[arg(long = "tap-address", value_name = "CIDR")]
    pub tap_addresses: Vec<Cidr>,
}

impl LinkOptions {
    /// Returns the configuration of the link of a stack with `addresses`.
    pub(crate) fn kind(&self, addresses: &[(std::net::IpAddr, u8)]) -> LinkKind {
        match self.link {
            Link::Xdp => LinkKind::Xdp,
            Link::Tap if self.tap_addresses.is_empty() => {
                LinkKind::Tap(TapConfig::opposite(addresses))
            }
            Link::Tap => {
                let mut config = TapConfig::default();
                let given = self.tap_addresses.iter();
                config.kernel_addresses = given.map(|cidr| (cidr.address, cidr.prefix)).collect();
                LinkKind::Tap(config)
            }
        }
    }

    /// Returns the name of the interface when none is given.
    pub(crate) fn default_interface(&self) -> &'static str {
        match self.link {
            Link::Xdp => "",
            Link::Tap => TAP_NAME,
        }
    }
}
