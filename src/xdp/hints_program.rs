//! The program that adds metadata to frames.
//!
//! Owns the choice and the loading of that program (`linerate_hints` of bpf/linerate.bpf.c). It
//! replaces the plain program of an existing link, so if it is rejected the plain one stays.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya_obj::Object;

use super::attach::Live;
use super::bpf;
use super::features;
use super::hints::Hints;
use super::kfuncs::Kfuncs;
use super::maps::MapFds;
use super::mode::AttachedMode;

/// Name of the function in bpf/linerate.bpf.c.
const NAME: &str = "linerate_hints";

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
