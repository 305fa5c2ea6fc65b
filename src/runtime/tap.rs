//! A stack on a TAP device: creates the device, brings up the kernel's side, opens the links.

use super::capture::Capture;
use super::config::{Role, StackConfig};
use super::error::StartError;
use super::opened::{ETHERNET_MAX, Hold, Opened};
use super::setup::{Plan, draw};
use super::tap_config::TapConfig;
use crate::link::Link as _;
use crate::link::tap::{self, TapLink, bring_up};
use crate::xdp;

/// Checks that the configuration makes sense on a TAP device.
pub(super) fn check(config: &StackConfig) -> Result<(), StartError> {
    match config.role {
        Role::Exclusive => Ok(()),
        Role::Shared => Err(StartError::TapShared { interface: config.interface.clone() }),
    }
}

/// Creates the device and opens a link per worker.
pub(super) fn open(plan: &Plan<'_>, config: &TapConfig) -> Result<Opened, StartError> {
    let workers = plan.config.queues.as_slice().len();
    let capture = Capture::create(plan.config)?;
    let links = TapLink::open_queues(&tap::Config::new(&plan.config.interface), workers)?;
    let interface = links.first().map_or("", TapLink::interface).to_owned();
    bring_up(&interface, &config.kernel_addresses)?;
    let mtu = links.iter().map(TapLink::frame_max).min().unwrap_or(0) - ETHERNET_MAX;
    let wrap = |(number, link)| plan.wrap(Box::new(link), &capture, number);
    Ok(Opened {
        links: links.into_iter().enumerate().map(wrap).collect(),
        hold: Hold::Tap,
        probe: xdp::probe(&interface)?,
        mac: draw_mac()?,
        mtu,
        mtu_max: mtu,
        stamped: false,
        notes: Vec::new(),
    })
}

/// Draws an Ethernet address: locally administered, of one station (RFC 7042 §2.1).
fn draw_mac() -> Result<[u8; 6], StartError> {
    const GROUP: u8 = 1;
    const LOCAL: u8 = 2;
    let mut mac: [u8; 6] = draw()?;
    mac[0] = (mac[0] & !GROUP) | LOCAL;
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_addresses_are_local_and_differ() {
        let macs: Vec<[u8; 6]> = (0..64).map(|_| draw_mac().unwrap()).collect();
        assert!(macs.iter().all(|mac| mac[0] & 3 == 2));
        assert_ne!(macs[0], macs[1]);
    }
}
