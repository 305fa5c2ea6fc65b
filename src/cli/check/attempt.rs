//! What only a try can tell: whether the program attaches, and how a socket is bound.

use linerate::link::xsk::{Bound, Config, XskLink};
use linerate::xdp::{Program, XdpMode};

use super::finding::Finding;

/// Attaches and opens, and takes both away again. Traffic passes to the kernel all the while: nothing
/// is claimed.
pub fn findings(interface: &str) -> Vec<Finding> {
    let (attached, program) = attach(interface);
    let bound = socket(interface, program.is_some());
    // The program goes before the socket would have: here the socket has gone already, and was in no map.
    drop(program);
    vec![attached, bound]
}

fn attach(interface: &str) -> (Finding, Option<Program>) {
    let name = "xdp_mode";
    match Program::load_and_attach(interface, XdpMode::Auto) {
        Ok(program) => {
            let attachment = program.attachment();
            let mode = attachment.map_or("none", |it| it.mode.name());
            let finding = match attachment.and_then(|it| it.fallback.clone()) {
                None => Finding::good(name, mode),
                Some(cause) => Finding::fair(name, mode, cause),
            };
            (finding, Some(program))
        }
        Err(error) => (Finding::bad(name, "does not attach", error.to_string()), None),
    }
}

/// Some drivers have zero-copy only while a program is attached.
fn socket(interface: &str, has_program: bool) -> Finding {
    let name = "zero_copy";
    let small = Config { rx_ring: 64, tx_ring: 64, held: 64, ..Config::new(interface, 0) };
    match XskLink::open(&small) {
        Ok(link) if link.bound() == Bound::ZeroCopy => Finding::good(name, "yes"),
        Ok(_) if has_program => Finding::fair(
            name,
            "no: frames are copied",
            "use a driver that has it (ixgbe, i40e, ice, mlx5, ...); veth never has",
        ),
        Ok(_) => Finding::fair(name, "no: frames are copied", "first get the program attached"),
        Err(error) => Finding::bad(name, "no AF_XDP socket on queue 0", error.to_string()),
    }
}
