//! Access to the maps of the loaded object and the errors of map operations.

use std::os::fd::{AsFd, RawFd};

use aya::Ebpf;
use aya::maps::{Map, MapData, MapError};

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

/// Takes a map of bpf/linerate.bpf.c out of the object, checking its type and sizes against `M`.
pub(super) fn take_map<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<M, MapError> {
    ebpf.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() })?.try_into()
}

/// Returns the errno of a map error, if it has one.
pub(super) fn errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(call) => call.io_error.raw_os_error(),
        MapError::IoError(io) => io.raw_os_error(),
        _ => None,
    }
}

/// Treats the removal of an absent entry as a success.
pub(super) fn absent_is_ok(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}
