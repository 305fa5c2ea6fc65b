//! What only a try can tell: whether the program attaches, and how a socket is bound.

use linerate::link::xsk::{Bound, Config, XskLink};
use linerate::xdp::{AttachError, Attachment, Hints, Program, XdpMode};

use super::finding::Finding;

/// Attaches and opens, and takes both away again. Traffic passes to the kernel all the while: nothing
/// is claimed. Tells how the program was attached, if it was.
pub fn findings(interface: &str) -> (Vec<Finding>, Option<Attachment>) {
    let (attached, program) = attach(interface);
    let bound = socket(interface, program.is_some());
    let attachment = program.as_ref().and_then(|program| program.attachment().cloned());
    // The program goes before the socket would have: here the socket has gone already, and was in no map.
    drop(program);
    (vec![attached, bound], attachment)
}

fn attach(interface: &str) -> (Finding, Option<Program>) {
    let name = "xdp_mode";
    match with_all_hints(interface) {
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

/// Asks for whatever the driver can tell, to see which of it can be had.
fn with_all_hints(interface: &str) -> Result<Program, AttachError> {
    let mut program = Program::load()?;
    program.set_hints(Hints { vlan: true, stamp: true, hash: true });
    program.attach(interface, XdpMode::Auto)?;
    Ok(program)
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
