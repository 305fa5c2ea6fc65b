//! packetdrill's `struct packetdrill_interface`.

use std::ffi::{c_int, c_long, c_longlong, c_uint, c_ulong, c_void};

use libc::{
    epoll_event, iovec, loff_t, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t,
    timeval, useconds_t,
};

use super::stacks::UserData;
use super::{calls, messages};

macro_rules! interface {
    ($($field:ident: fn($($argument:ty),*) $(-> $result:ty)?, $call:path;)*) => {
        /// The table, in packetdrill's order.
        #[repr(C)]
        #[derive(Debug)]
        #[allow(missing_docs)]
        pub struct Interface {
            userdata: UserData,
            $($field: unsafe extern "C" fn(UserData $(, $argument)*) $(-> $result)?,)*
        }

        /// Returns the table of one stack.
        pub(super) fn of(userdata: UserData) -> Interface {
            Interface { userdata, $($field: $call,)* }
        }
    };
}

interface! {
    free: fn(), calls::free;
    socket: fn(c_int, c_int, c_int) -> c_int, calls::socket;
    bind: fn(c_int, *const sockaddr, socklen_t) -> c_int, calls::bind;
    listen: fn(c_int, c_int) -> c_int, calls::listen;
    accept: fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int, calls::accept;
    connect: fn(c_int, *const sockaddr, socklen_t) -> c_int, calls::connect;
    read: fn(c_int, *mut c_void, size_t) -> ssize_t, messages::read;
    readv: fn(c_int, *const iovec, c_int) -> ssize_t, messages::readv;
    recv: fn(c_int, *mut c_void, size_t, c_int) -> ssize_t, messages::recv;
    recvfrom: fn(c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
        messages::recvfrom;
    recvmsg: fn(c_int, *mut msghdr, c_int) -> ssize_t, messages::recvmsg;
    write: fn(c_int, *const c_void, size_t) -> ssize_t, messages::write;
    writev: fn(c_int, *const iovec, c_int) -> ssize_t, messages::writev;
    send: fn(c_int, *const c_void, size_t, c_int) -> ssize_t, messages::send;
    sendto: fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
        messages::sendto;
    sendmsg: fn(c_int, *const msghdr, c_int) -> ssize_t, messages::sendmsg;
    fcntl: fn(c_int, c_int, c_long) -> c_int, calls::fcntl;
    ioctl: fn(c_int, c_ulong, *mut c_void) -> c_int, calls::ioctl;
    close: fn(c_int) -> c_int, calls::close;
    shutdown: fn(c_int, c_int) -> c_int, calls::shutdown;
    getsockopt: fn(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int, calls::getsockopt;
    setsockopt: fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int, calls::setsockopt;
    poll: fn(*mut pollfd, nfds_t, c_int) -> c_int, calls::poll;
    netdev_send: fn(*const c_void, size_t) -> c_int, calls::netdev_send;
    netdev_receive: fn(*mut c_void, *mut size_t, *mut c_longlong) -> c_int, calls::netdev_receive;
    usleep: fn(useconds_t) -> c_int, calls::usleep;
    gettimeofday: fn(*mut timeval, *mut c_void) -> c_int, calls::gettimeofday;
    epoll_create: fn(c_int) -> c_int, calls::epoll_create;
    epoll_ctl: fn(c_int, c_int, c_int, *mut epoll_event) -> c_int, calls::epoll_ctl;
    epoll_wait: fn(c_int, *mut epoll_event, c_int, c_int) -> c_int, calls::epoll_wait;
    pipe: fn(*mut c_int) -> c_int, calls::pipe;
    splice: fn(c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> c_int, calls::splice;
}
