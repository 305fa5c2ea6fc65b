//! Who owns the addresses of the stack: the stack itself, or the kernel that shares them with it.

/// Who owns the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// The stack: it answers ARP, NDP and ICMP echo for them, and every TCP port is its own.
    #[default]
    Exclusive,
    /// The kernel: it answers for them and reports its routes and neighbours to the stack, which takes the claimed
    /// TCP ports and the ICMP errors that quote them.
    Shared,
}
