//! The trial attach: attaches the program and opens a socket, since only a trial shows the XDP mode
//! and zero-copy.

use linerate::link::xsk::{Bound, Config, XskLink};
use linerate::xdp::{AttachError, Attachment, Hints, Program, XdpMode};

use super::finding::Finding;

/// Attaches the program, opens a socket, then removes both. Claims nothing, so all traffic still
/// reaches the kernel. Returns the findings, and how the program was attached if that succeeded.
pub(super) fn findings(interface: &str) -> (Vec<Finding>, Option<Attachment>) {
    let (attached, program) = attach(interface);
    let bound = socket(interface, program.is_some());
    let attachment = program.as_ref().and_then(|program| program.attachment().cloned());
    // A program must be detached before a socket in its map closes. This socket is already closed
    // and was never in the map.
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

/// Attaches with all metadata hints requested, to see which of them the driver supports.
fn with_all_hints(interface: &str) -> Result<Program, AttachError> {
    let mut program = Program::load()?;
    program.set_hints(Hints { vlan: true, stamp: true, hash: true });
    program.attach(interface, XdpMode::Auto)?;
    Ok(program)
}

/// Opens a socket on queue 0. Some drivers support zero-copy only while a program is attached.
fn socket(interface: &str, has_program: bool) -> Finding {
    let name = "zero_copy";
    let small = Config { rx_ring: 64, tx_ring: 64, held: 64, ..Config::new(interface, 0) };
    match XskLink::open(&small) {
        Ok(link) if link.bound() == Bound::ZeroCopy => Finding::good(name, "yes"),
        Ok(_) if has_program => Finding::fair(
            name,
            "no: frames are copied",
            "use a driver that supports zero-copy (ixgbe, i40e, ice, mlx5, ...); veth does not",
        ),
        Ok(_) => Finding::fair(name, "no: frames are copied", "fix the program attach first"),
        Err(error) => {
            Finding::bad(name, "cannot open an AF_XDP socket on queue 0", error.to_string())
        }
    }
}
