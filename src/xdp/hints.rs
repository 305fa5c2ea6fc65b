//! What a driver knows of a frame beside its bytes, and the program that adds it to the frame.
//!
//! Owns the choice and the loading of that program (`linerate_hints` of bpf/linerate.bpf.c). It takes the place of the
//! plain one behind a link that is there, so that whatever refuses it leaves the plain one where it is.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use aya::maps::{Map, MapData};
use aya_obj::Object;

use super::attach::{AttachedMode, Live};
use super::bpf;
use super::features::{self, XdpFeatures};
use super::kfuncs::Kfuncs;

/// The name of the function in bpf/linerate.bpf.c.
const NAME: &str = "linerate_hints";

/// Things that a frame may bring beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// A VLAN tag that the NIC took off is put back into the frame.
    pub vlan: bool,
    /// When the frame came in: when the driver says, where that is of the system's clock, else when the program saw it.
    pub stamp: bool,
    /// The hash by which the NIC chose the queue.
    pub hash: bool,
}

impl Hints {
    /// What a driver can tell.
    pub const fn of_driver(features: XdpFeatures) -> Self {
        Self {
            vlan: features.tells_vlan(),
            stamp: features.tells_timestamp(),
            hash: features.tells_hash(),
        }
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            vlan: self.vlan && other.vlan,
            stamp: self.stamp && other.stamp,
            hash: self.hash && other.hash,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        !self.vlan && !self.stamp && !self.hash
    }

    /// Their names, as in [`XdpFeatures::rx_metadata`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.stamp, "timestamp"), (self.hash, "hash"), (self.vlan, "VLAN tag")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name)
    }
}

/// The maps of the loaded object by name. The descriptors belong to whoever holds the maps.
pub(super) type MapFds = Vec<(String, RawFd)>;

/// The name and the descriptor of a map of the object.
pub(super) fn fd_of(name: &str, map: &Map) -> Option<(String, RawFd)> {
    use std::os::fd::AsRawFd as _;
    let (Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) | Map::XskMap(data)) = map
    else {
        return None;
    };
    Some((name.to_owned(), MapData::fd(data).as_fd().as_raw_fd()))
}

/// Exchanges the plain program for the one that adds hints, where any of `wanted` can be had; the attachment tells
/// which those are, and why not where the driver would have them.
pub(super) fn add(live: &mut Live, object: &[u8], maps: &MapFds, wanted: Hints) {
    let index = live.attachment.index;
    // A program bound to a device runs in its driver alone.
    let is_native = live.attachment.mode == AttachedMode::Native;
    let told = features::of(index).ok().filter(|_| is_native).map(Hints::of_driver);
    let of_driver = told.unwrap_or_default().and(wanted);
    if !of_driver.is_empty() {
        match bound(live, object, maps, of_driver, wanted.stamp) {
            Ok(had) => {
                live.attachment.hints = had;
                return;
            }
            Err(error) => live.attachment.no_hints = Some(error.to_string()),
        }
    }
    // The program's own clock takes no driver.
    if wanted.stamp {
        let stamp = Hints { stamp: true, ..Hints::default() };
        let exchanged = load(object, maps, (Kfuncs::default(), stamp), None)
            .and_then(|program| bpf::update_link(live.link.as_fd(), program.as_fd()));
        match exchanged {
            Ok(()) => live.attachment.hints = stamp,
            Err(error) => live.attachment.no_hints = Some(error.to_string()),
        }
    }
}

/// Exchanges it for one that asks the driver for what is `told`, and stamps where that is wanted, whoever tells the time.
fn bound(
    live: &Live,
    object: &[u8],
    maps: &MapFds,
    told: Hints,
    stamps: bool,
) -> io::Result<Hints> {
    let (kfuncs, had) = Kfuncs::resolve(told)?;
    if had.is_empty() {
        return Err(io::Error::other("this kernel has not the functions to ask its driver by"));
    }
    let had = Hints { stamp: stamps, ..had };
    let program = load(object, maps, (kfuncs, had), Some(live.attachment.index))?;
    bpf::update_link(live.link.as_fd(), program.as_fd())?;
    Ok(had)
}

fn load(
    object: &[u8],
    maps: &MapFds,
    (kfuncs, hints): (Kfuncs, Hints),
    bound_to: Option<u32>,
) -> io::Result<OwnedFd> {
    let mut object = Object::parse(object).map_err(io::Error::other)?;
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let described = std::mem::take(&mut object.maps);
    let known = maps.iter().filter_map(|(name, fd)| Some((&**name, *fd, described.get(name)?)));
    object.relocate_maps(known, &text).map_err(io::Error::other)?;
    object.relocate_calls(&text).map_err(io::Error::other)?;
    let program = object.programs.get(NAME).ok_or(io::ErrorKind::NotFound)?;
    let function = object.functions.get_mut(&program.function_key());
    let instructions = &mut function.ok_or(io::ErrorKind::NotFound)?.instructions;
    kfuncs.put_into(instructions, hints);
    bpf::load_xdp(NAME, instructions, &program.license, bound_to)
}
