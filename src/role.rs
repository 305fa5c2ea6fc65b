//! Owner of the stack's addresses: the stack, or the kernel that shares them with it.

/// Owner of the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// The stack. It answers ARP, NDP and ICMP echo for them and owns every TCP port.
    #[default]
    Exclusive,
    /// The kernel. It answers for them and reports its routes and neighbours to the stack, which
    /// receives the claimed TCP ports and the ICMP errors that quote them.
    Shared,
}
