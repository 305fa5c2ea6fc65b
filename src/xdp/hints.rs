//! Metadata of received frames beside their bytes, and the program that adds it.
//!
//! Owns the choice and the loading of that program (`linerate_hints` of bpf/linerate.bpf.c). It
//! replaces the plain program of an existing link, so if it is rejected the plain one stays.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use aya::maps::{Map, MapData};
use aya_obj::Object;

use super::attach::{AttachedMode, Live};
use super::bpf;
use super::features::{self, XdpFeatures};
use super::kfuncs::Kfuncs;

/// Name of the function in bpf/linerate.bpf.c.
const NAME: &str = "linerate_hints";

/// Metadata that frames may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// A VLAN tag that the NIC stripped is reinserted into the frame.
    pub vlan: bool,
    /// Time of arrival: the driver's timestamp if it is of the system's clock, otherwise the time
    /// at which the program saw the frame.
    pub stamp: bool,
    /// Hash by which the NIC chose the queue.
    pub hash: bool,
}

impl Hints {
    /// Returns the metadata that a driver provides.
    pub const fn of_driver(features: XdpFeatures) -> Self {
        Self {
            vlan: features.tells_vlan(),
            stamp: features.tells_timestamp(),
            hash: features.tells_hash(),
        }
    }

    /// Returns the metadata contained in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            vlan: self.vlan && other.vlan,
            stamp: self.stamp && other.stamp,
            hash: self.hash && other.hash,
        }
    }

    /// Returns true without any metadata.
    pub const fn is_empty(self) -> bool {
        !self.vlan && !self.stamp && !self.hash
    }

    /// Returns the names, as in [`XdpFeatures::rx_metadata`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.stamp, "timestamp"), (self.hash, "hash"), (self.vlan, "VLAN tag")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name)
    }
}

/// Maps of the loaded object by name. The owner of the maps owns the descriptors.
pub(super) type MapFds = Vec<(String, RawFd)>;

/// Returns the name and the descriptor of a map of the object.
pub(super) fn fd_of(name: &str, map: &Map) -> Option<(String, RawFd)> {
    use std::os::fd::AsRawFd as _;
    let (Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) | Map::XskMap(data)) = map
    else {
        return None;
    };
    Some((name.to_owned(), MapData::fd(data).as_fd().as_raw_fd()))
}

/// Replaces the plain program by one that adds metadata, if any of `wanted` is available. The
/// attachment records which, and why not if the driver provides it.
pub(super) fn add(live: &mut Live, object: &[u8], maps: &MapFds, wanted: Hints) {
    let index = live.attachment.index;
    // A program bound to a device runs only in its driver.
    let is_native = live.attachment.mode == AttachedMode::Native;
    let provided = features::of(index).ok().filter(|_| is_native).map(Hints::of_driver);
    let of_driver = provided.unwrap_or_default().and(wanted);
    if !of_driver.is_empty() {
        match replace_bound(live, object, maps, of_driver, wanted.stamp) {
            Ok(hints) => {
                live.attachment.hints = hints;
                return;
            }
            Err(error) => live.attachment.no_hints = Some(error.to_string()),
        }
    }
    // The program's own clock needs no driver.
    if wanted.stamp {
        let stamp = Hints { stamp: true, ..Hints::default() };
        let replaced = load(object, maps, (Kfuncs::default(), stamp), None)
            .and_then(|program| bpf::update_link(live.link.as_fd(), program.as_fd()));
        match replaced {
            Ok(()) => live.attachment.hints = stamp,
            Err(error) => live.attachment.no_hints = Some(error.to_string()),
        }
    }
}

/// Replaces the program by one that queries the driver for `provided`, and timestamps frames if
/// `stamps`, by the driver or by itself.
fn replace_bound(
    live: &Live,
    object: &[u8],
    maps: &MapFds,
    provided: Hints,
    stamps: bool,
) -> io::Result<Hints> {
    let (kfuncs, found) = Kfuncs::resolve(provided)?;
    if found.is_empty() {
        return Err(io::Error::other("this kernel lacks the functions that query the driver"));
    }
    let hints = Hints { stamp: stamps, ..found };
    let program = load(object, maps, (kfuncs, hints), Some(live.attachment.index))?;
    bpf::update_link(live.link.as_fd(), program.as_fd())?;
    Ok(hints)
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
    kfuncs.patch(instructions, hints);
    bpf::load_xdp(NAME, instructions, &program.license, bound_to)
}
