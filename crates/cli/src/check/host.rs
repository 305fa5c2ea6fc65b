//! Findings about the host, independent of any interface.

use std::path::Path;

use linerate::xdp::Program;
use socket2::{Domain, Socket, Type};

use super::finding::Finding;

/// The first kernel with `xdp.frags`, which the program needs.
const KERNEL_MIN: (u32, u32) = (5, 18);

/// Capabilities that the stack needs, with their bits (linux/capability.h). Without CAP_PERFMON the
/// verifier rejects a program that reads past a header of variable length. CAP_SYS_ADMIN includes
/// the last two.
const CAPABILITIES: [(&str, u32); 4] =
    [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_BPF", 39), ("CAP_PERFMON", 38)];
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;

/// Returns all findings about the host.
pub(super) fn findings() -> Vec<Finding> {
    vec![
        kernel(),
        af_xdp(),
        privileges(),
        program(),
        btf(),
        memlock(),
        huge_pages(),
        busy_polling(),
        cores(),
    ]
}

fn read(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    let (major, minor) = KERNEL_MIN;
    match version(&release) {
        Some(version) if version < KERNEL_MIN => {
            Finding::bad("kernel", release, format!("use Linux {major}.{minor} or newer"))
        }
        _ => Finding::good("kernel", release),
    }
}

/// Parses major and minor version of a kernel release such as `6.18.0-rc1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn af_xdp() -> Finding {
    match Socket::new(Domain::from(libc::AF_XDP), Type::RAW, None) {
        Ok(_) => Finding::good("af_xdp", "available"),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => Finding::bad(
                "af_xdp",
                "not in this kernel",
                "use a kernel with CONFIG_XDP_SOCKETS=y",
            ),
            Some(libc::EPERM | libc::EACCES) => {
                Finding::bad("af_xdp", "not permitted", "run as root or with CAP_NET_RAW")
            }
            _ => Finding::bad("af_xdp", error.to_string(), "run as root on Linux"),
        },
    }
}

fn privileges() -> Finding {
    let status = read("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if missing.is_empty() {
        return Finding::good("privileges", "sufficient");
    }
    Finding::bad(
        "privileges",
        format!("without {}", missing.join(", ")),
        "run as root, or `setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon+ep` on the binary",
    )
}

/// Returns true if the effective set of /proc/PID/status contains a capability.
fn has_capability(status: &str, bit: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    effective & 1 << bit != 0
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let has = |bit| has_capability(status, bit);
    CAPABILITIES
        .iter()
        .filter(|(_, bit)| !(has(*bit) || *bit > CAP_SYS_ADMIN && has(CAP_SYS_ADMIN)))
        .map(|(name, _)| *name)
        .collect()
}

fn program() -> Finding {
    match Program::load() {
        Ok(_) => Finding::good("xdp_program", "loads"),
        Err(error) => Finding::bad("xdp_program", "does not load", error.to_string()),
    }
}

fn btf() -> Finding {
    match Path::new("/sys/kernel/btf/vmlinux").exists() {
        true => Finding::good("btf", "available"),
        // The program without metadata hints needs no BTF.
        false => Finding::fair(
            "btf",
            "not in this kernel",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y to read driver metadata; all else works",
        ),
    }
}

fn memlock() -> Finding {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    if has_capability(&read("/proc/self/status").unwrap_or_default(), CAP_IPC_LOCK) {
        return Finding::good("memlock", "not limited (CAP_IPC_LOCK)");
    }
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) if soft == RLIM_INFINITY => Finding::good("memlock", "unlimited"),
        Ok((soft, _)) if soft >= 64 << 20 => {
            Finding::good("memlock", format!("{} MiB", soft >> 20))
        }
        Ok((soft, _)) => Finding::fair(
            "memlock",
            format!("{} KiB", soft >> 10),
            "too little to pin the frame memory: run `ulimit -l unlimited`, or add CAP_IPC_LOCK",
        ),
        Err(error) => Finding::fair("memlock", error.to_string(), "check `ulimit -l`"),
    }
}

fn huge_pages() -> Finding {
    let meminfo = read("/proc/meminfo").unwrap_or_default();
    let number = |name: &str| -> u64 {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let (free, total) = (number("HugePages_Free:"), number("HugePages_Total:"));
    if free > 0 {
        return Finding::good("huge_pages", format!("{free} of {total} free"));
    }
    Finding::fair(
        "huge_pages",
        format!("none free of {total}"),
        "reserve some for fewer TLB misses: `sysctl -w vm.nr_hugepages=64`",
    )
}

fn busy_polling() -> Finding {
    let setting = |name: &str| read(&format!("/proc/sys/net/core/{name}"));
    match (setting("busy_poll"), setting("busy_read")) {
        (Some(poll), Some(read)) => Finding::good(
            "busy_polling",
            format!("available; defaults: busy_poll {poll} us, busy_read {read} us"),
        ),
        // Only the initial network namespace has these settings. If another such setting is missing
        // too, this is not the initial namespace.
        _ if setting("netdev_max_backlog").is_none() => {
            Finding::good("busy_polling", "the defaults are not visible in this network namespace")
        }
        _ => Finding::fair(
            "busy_polling",
            "not in this kernel",
            "use a kernel with CONFIG_NET_RX_BUSY_POLL=y for the lowest latency on a NIC",
        ),
    }
}

fn cores() -> Finding {
    let count = core_affinity::get_core_ids().map_or(0, |all| all.len());
    let isolated = read("/sys/devices/system/cpu/isolated").filter(|list| !list.is_empty());
    let value = match &isolated {
        Some(list) => format!("{count} usable, {list} isolated"),
        None => format!("{count} usable, none isolated"),
    };
    match count {
        0 | 1 => Finding::fair("cores", value, "give a spinning worker a core of its own"),
        _ => Finding::good("cores", value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(version("6.18.0-rc1"), Some((6, 18)));
        assert_eq!(version("5.4.0-42-generic"), Some((5, 4)));
        assert!(version("5.4.0") < Some(KERNEL_MIN) && version("5.18") >= Some(KERNEL_MIN));
        assert_eq!(version("?"), None);
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert!(missing_capabilities("CapEff:\t000001ffffffffff\n").is_empty());
        let none = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"];
        assert_eq!(missing_capabilities("CapEff:\t0000000000000000\n"), none);
        assert!(missing_capabilities("CapEff:\t0000000000203000\n").is_empty());
        assert!(missing_capabilities("CapEff:\t000000c000003000\n").is_empty());
        assert_eq!(missing_capabilities("CapEff:\t0000008000003000\n"), ["CAP_PERFMON"]);
    }
}
