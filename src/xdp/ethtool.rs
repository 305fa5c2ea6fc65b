//! Driver queries that only ioctls answer: `SIOCETHTOOL` and `SIOCGIF*`.
//!
//! Owns the request structures of linux/ethtool.h and all `unsafe` of this layer. Each query is one
//! system call on a socket of its own, in the network namespace of the calling thread. Only
//! [`set_flags`] and [`set_rss_table`] change anything.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// linux/ethtool.h.
const GDRVINFO: u32 = 0x03;
const GRINGPARAM: u32 = 0x10;
const GCHANNELS: u32 = 0x3c;
const GRXFH: u32 = 0x29;
const GRSSH: u32 = 0x46;
const SRSSH: u32 = 0x47;

/// Relevant offloads, by the ethtool command that queries one.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Offload {
    TxChecksum = 0x16,
    Gso = 0x23,
    Gro = 0x2b,
}

/// Bits of `ETHTOOL_GFLAGS` (0x25), which holds the offloads without a command of their own; 0x26
/// sets them.
const GFLAGS: u32 = 0x25;
const SFLAGS: u32 = 0x26;
pub(super) const FLAG_RX_VLAN: u32 = 1 << 8;
pub(super) const FLAG_LRO: u32 = 1 << 15;

/// Queues of a driver: `struct ethtool_channels`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Channels {
    command: u32,
    rx_max: u32,
    tx_max: u32,
    other_max: u32,
    combined_max: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

impl Channels {
    pub(super) fn rx(&self) -> u32 {
        self.rx.saturating_add(self.combined)
    }

    pub(super) fn tx(&self) -> u32 {
        self.tx.saturating_add(self.combined)
    }

    pub(super) fn rx_max(&self) -> u32 {
        self.rx_max.max(self.combined_max)
    }
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct Driver {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rom: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    value: u32,
}

/// Maximum size of a redirection table and key together, in words: 4 KiB.
const RSS_WORDS: usize = 1024;

/// `struct ethtool_rxfh`, with room for the table and the key behind it.
#[repr(C)]
struct Rxfh {
    command: u32,
    context: u32,
    table_len: u32,
    key_len: u32,
    hash_function: u8,
    transformation: u8,
    reserved: [u8; 6],
    words: [u32; RSS_WORDS],
}

/// `struct ethtool_rxnfc`. The query uses only its head; the rest is for kernels that copy all of
/// it.
#[repr(C)]
struct FlowHash {
    command: u32,
    flow: u32,
    fields: u64,
    rest: [u64; 30],
}

// The kernel copies its whole structure in and out; a smaller one here would be overrun.
const _: () = assert!(size_of::<Channels>() == 36);
const _: () = assert!(size_of::<Rings>() == 36);
const _: () = assert!(size_of::<Driver>() == 196);
const _: () = assert!(size_of::<Value>() == 8);
// The kernel's structure has 192 bytes.
const _: () = assert!(size_of::<FlowHash>() == 256);
const _: () = assert!(size_of::<Rxfh>() == 24 + 4 * RSS_WORDS);

/// A type that the kernel may read and write as arbitrary bytes.
///
/// # Safety
/// `repr(C)` with integer fields only, and at least as large as the structures that its commands
/// copy.
unsafe trait Request {}
// SAFETY: integer fields only, and the sizes are asserted above.
unsafe impl Request for Channels {}
// SAFETY: as above.
unsafe impl Request for Rings {}
// SAFETY: as above.
unsafe impl Request for Driver {}
// SAFETY: as above.
unsafe impl Request for Value {}
// SAFETY: as above.
unsafe impl Request for FlowHash {}
// SAFETY: as above; the kernel writes at most the table and key sizes of the request, and `rss`
// requests no more than `words` holds.
unsafe impl Request for Rxfh {}

/// Results of `SIOCGIF*`.
pub(super) struct Basics {
    pub(super) mtu: u32,
    pub(super) mac: [u8; 6],
    pub(super) ethernet: bool,
    pub(super) up: bool,
    pub(super) running: bool,
}

/// Returns the name of the driver, as in `ethtool -i`.
pub(super) fn driver(interface: &str) -> io::Result<String> {
    let mut request = Driver {
        command: GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        rom: [0; 32],
        reserved: [0; 12],
        counts: [0; 5],
    };
    query(interface, &mut request)?;
    let name = request.driver.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

pub(super) fn channels(interface: &str) -> io::Result<Channels> {
    let mut request = Channels { command: GCHANNELS, ..Channels::default() };
    query(interface, &mut request)?;
    Ok(request)
}

pub(super) fn offload(interface: &str, offload: Offload) -> io::Result<bool> {
    let mut request = Value { command: offload as u32, value: 0 };
    query(interface, &mut request)?;
    Ok(request.value != 0)
}

/// Returns the `FLAG_*` bits.
pub(super) fn flags(interface: &str) -> io::Result<u32> {
    let mut request = Value { command: GFLAGS, value: 0 };
    query(interface, &mut request)?;
    Ok(request.value)
}

/// Sets the `FLAG_*` bits, all of them.
pub(super) fn set_flags(interface: &str, flags: u32) -> io::Result<()> {
    query(interface, &mut Value { command: SFLAGS, value: flags })
}

/// Descriptors of the driver's own rings: `struct ethtool_ringparam`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Rings {
    command: u32,
    pub(super) rx_max: u32,
    mini_max: u32,
    jumbo_max: u32,
    pub(super) tx_max: u32,
    pub(super) rx: u32,
    mini: u32,
    jumbo: u32,
    pub(super) tx: u32,
}

pub(super) fn rings(interface: &str) -> io::Result<Rings> {
    let mut request = Rings { command: GRINGPARAM, ..Rings::default() };
    query(interface, &mut request)?;
    Ok(request)
}

/// Receive side scaling settings of a driver.
pub(super) struct RssSettings {
    /// The redirection table.
    pub(super) table: Vec<u32>,
    pub(super) key: Vec<u8>,
    /// Hash functions as bits of `ETH_RSS_HASH_*`; zero if the driver does not report them.
    pub(super) function: u8,
    /// Transformation of addresses and ports before hashing, as bits of `RXH_XFRM_*`.
    pub(super) transformation: u8,
}

impl Rxfh {
    fn new(command: u32) -> Self {
        Self {
            command,
            context: 0,
            table_len: 0,
            key_len: 0,
            hash_function: 0,
            transformation: 0,
            reserved: [0; 6],
            words: [0; RSS_WORDS],
        }
    }
}

/// Sets the redirection table. Key and hash function stay.
pub(super) fn set_rss_table(interface: &str, table: &[u32]) -> io::Result<()> {
    // RXH_XFRM_NO_CHANGE of linux/ethtool.h.
    const NO_CHANGE: u8 = u8::MAX;
    let mut request = Rxfh::new(SRSSH);
    let Some(words) = request.words.get_mut(..table.len()) else {
        return Err(io::ErrorKind::OutOfMemory.into());
    };
    words.copy_from_slice(table);
    request.table_len = table.len() as u32;
    request.transformation = NO_CHANGE;
    match query(interface, &mut request) {
        // Before 6.8 the field had to be zero.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            request.transformation = 0;
            query(interface, &mut request)
        }
        answer => answer,
    }
}

pub(super) fn rss(interface: &str) -> io::Result<RssSettings> {
    let mut request = Rxfh::new(GRSSH);
    // With both lengths zero the kernel returns only the lengths.
    query(interface, &mut request)?;
    let (table, key) = (request.table_len as usize, request.key_len as usize);
    if table.saturating_mul(4).saturating_add(key) > 4 * RSS_WORDS {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    query(interface, &mut request)?;
    let (entries, rest) = request.words.split_at(table);
    let key = rest.iter().flat_map(|word| word.to_ne_bytes()).take(key).collect();
    let (function, transformation) = (request.hash_function, request.transformation);
    Ok(RssSettings { table: entries.to_vec(), key, function, transformation })
}

/// Flow types whose hash can be queried, by their number in linux/ethtool.h.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Flow {
    Tcp4 = 1,
    Tcp6 = 5,
}

/// Returns true if the receive hash of such flows includes both ports; `None` if the driver does
/// not report it.
pub(super) fn hashes_ports(interface: &str, flow: Flow) -> Option<bool> {
    // RXH_L4_B_0_1 and RXH_L4_B_2_3.
    const PORTS: u64 = 1 << 6 | 1 << 7;
    let mut request = FlowHash { command: GRXFH, flow: flow as u32, fields: 0, rest: [0; 30] };
    query(interface, &mut request).ok()?;
    (request.fields != 0).then_some(request.fields & PORTS == PORTS)
}

pub(super) fn mtu(interface: &str) -> io::Result<u32> {
    let socket = any_socket()?;
    let mut request = named(interface)?;
    call(&socket, libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU has filled this field, and every bit pattern is valid.
    Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or_default())
}

pub(super) fn basics(interface: &str) -> io::Result<Basics> {
    let socket = any_socket()?;
    let mtu = mtu(interface)?;
    let mut request = named(interface)?;
    call(&socket, libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: SIOCGIFHWADDR has filled this field, and every bit pattern is valid.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    let mut request = named(interface)?;
    call(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has filled this field, and every bit pattern is valid.
    let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(address.sa_data) {
        *to = from.to_ne_bytes()[0];
    }
    Ok(Basics {
        mtu,
        mac,
        ethernet: address.sa_family == libc::ARPHRD_ETHER,
        up: flags & libc::IFF_UP != 0,
        running: flags & libc::IFF_RUNNING != 0,
    })
}

/// Executes one ethtool command, whose number is the first field of the request.
fn query<T: Request>(interface: &str, body: &mut T) -> io::Result<()> {
    let socket = any_socket()?;
    let mut request = named(interface)?;
    request.ifr_ifru.ifru_data = std::ptr::from_mut(body).cast();
    call(&socket, libc::SIOCETHTOOL, &mut request)
}

fn call(socket: &OwnedFd, number: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the descriptor is open. The request is a whole `ifreq` with a terminated name. If the
    // command follows `ifru_data`, `query` has pointed it at a `Request` that outlives the call and
    // is large enough by the contract of that trait.
    let answer =
        unsafe { libc::ioctl(socket.as_raw_fd(), number as _, std::ptr::from_mut(request)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn any_socket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn named(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain old data, for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = interface.as_bytes();
    // The last byte stays zero.
    if bytes.is_empty() || bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok(request)
}
