//! The shared object for packetdrill, loaded and called as packetdrill does: through its table of function
//! pointers, system calls that block on a second thread, packets of IP by `netdev_send` and
//! `netdev_receive`, and `getsockopt` of the C library for `tcp_info`.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_longlong, c_uint, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use linerate::wire::checksum::PseudoHeader;
use linerate::wire::tcp::{HeaderOut, OptionsOut};
use linerate::wire::{Protocol, TrafficClass, ipv4, tcp};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 17, 5);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 8080;
const PEER_PORT: u16 = 34_567;

const SYN: u16 = 0x02;
const ACK: u16 = 0x10;
const FIN: u16 = 0x01;
const PSH: u16 = 0x08;

type UserData = *mut c_void;

/// `struct packetdrill_interface`, with the types that this test needs.
#[repr(C)]
#[derive(Clone, Copy)]
struct Interface {
    userdata: UserData,
    free: unsafe extern "C" fn(UserData),
    socket: unsafe extern "C" fn(UserData, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(UserData, c_int, *const libc::sockaddr_in, c_uint) -> c_int,
    listen: unsafe extern "C" fn(UserData, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(UserData, c_int, *mut libc::sockaddr_in, *mut c_uint) -> c_int,
    connect: unsafe extern "C" fn(UserData, c_int, *const libc::sockaddr_in, c_uint) -> c_int,
    read: unsafe extern "C" fn(UserData, c_int, *mut c_void, usize) -> isize,
    readv: *const c_void,
    recv: *const c_void,
    recvfrom: *const c_void,
    recvmsg: *const c_void,
    write: unsafe extern "C" fn(UserData, c_int, *const c_void, usize) -> isize,
    writev: *const c_void,
    send: *const c_void,
    sendto: unsafe extern "C" fn(
        UserData,
        c_int,
        *const c_void,
        usize,
        c_int,
        *const c_void,
        c_uint,
    ) -> isize,
    sendmsg: *const c_void,
    fcntl: unsafe extern "C" fn(UserData, c_int, c_int, ...) -> c_int,
    ioctl: unsafe extern "C" fn(UserData, c_int, c_ulong, ...) -> c_int,
    close: unsafe extern "C" fn(UserData, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(UserData, c_int, c_int) -> c_int,
    getsockopt:
        unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut c_void, *mut c_uint) -> c_int,
    setsockopt: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *const c_void, c_uint) -> c_int,
    poll: unsafe extern "C" fn(UserData, *mut libc::pollfd, c_ulong, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(UserData, *const c_void, usize) -> c_int,
    netdev_receive:
        unsafe extern "C" fn(UserData, *mut c_void, *mut usize, *mut c_longlong) -> c_int,
    usleep: unsafe extern "C" fn(UserData, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(UserData, *mut libc::timeval, *mut c_void) -> c_int,
    epoll_create: unsafe extern "C" fn(UserData, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut libc::epoll_event) -> c_int,
    epoll_wait:
        unsafe extern "C" fn(UserData, c_int, *mut libc::epoll_event, c_int, c_int) -> c_int,
    pipe: *const c_void,
    splice: *const c_void,
}

// SAFETY: the stack behind the table may be called from any thread: packetdrill does so from two.
unsafe impl Send for Interface {}

/// The shared object, beside the test's own program.
fn library() -> CString {
    let program = std::env::current_exe().expect("a path");
    let folder = program.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps");
    // The one beside the folder is of the last `cargo build`, whatever its features were.
    let candidates =
        [folder.join("deps/liblinerate_packetdrill.so"), folder.join("liblinerate_packetdrill.so")];
    let found: PathBuf = candidates
        .into_iter()
        .find(|path| path.exists())
        .expect("cargo builds the shared object with the tests");
    CString::new(found.into_os_string().into_encoded_bytes()).expect("no zero in a path")
}

/// The stack, as packetdrill holds it.
struct Stack {
    table: Interface,
}

impl Stack {
    fn load() -> Self {
        Self::load_with(c"sysctls=off")
    }

    fn load_with(flags: &CStr) -> Self {
        type Init = unsafe extern "C" fn(*const c_char, *mut Interface);
        let mut table = MaybeUninit::<Interface>::uninit();
        // SAFETY: the library is ours, and the function has this type.
        let table = unsafe {
            let how = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE | libc::RTLD_DEEPBIND;
            let handle = libc::dlopen(library().as_ptr(), how);
            assert!(!handle.is_null(), "dlopen failed");
            let init = libc::dlsym(handle, c"packetdrill_interface_init".as_ptr());
            assert!(!init.is_null(), "no packetdrill_interface_init");
            let init: Init = core::mem::transmute(init);
            init(flags.as_ptr(), table.as_mut_ptr());
            table.assume_init()
        };
        Self { table }
    }

    fn listener(&self) -> c_int {
        let Interface { userdata, .. } = self.table;
        let at = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: PORT.to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(LOCAL.octets()) },
            sin_zero: [0; 8],
        };
        // SAFETY: calls of the table, with arguments that live as long.
        unsafe {
            let fd = (self.table.socket)(userdata, libc::AF_INET, libc::SOCK_STREAM, 0);
            assert!(fd >= 0);
            let bound = (self.table.bind)(userdata, fd, &raw const at, size_of_val(&at) as c_uint);
            assert_eq!(bound, 0);
            assert_eq!((self.table.listen)(userdata, fd, 1), 0);
            fd
        }
    }

    fn now_us(&self) -> i64 {
        let mut now = MaybeUninit::<libc::timeval>::zeroed();
        // SAFETY: as above; zeroes are a time.
        let now = unsafe {
            (self.table.gettimeofday)(self.table.userdata, now.as_mut_ptr(), core::ptr::null_mut());
            now.assume_init()
        };
        now.tv_sec * 1_000_000 + now.tv_usec
    }

    fn sleep_ms(&self, ms: u32) {
        // SAFETY: a call of the table.
        unsafe { (self.table.usleep)(self.table.userdata, ms * 1000) };
    }

    /// The peer sends a segment.
    fn inject(&self, (flags, seq, ack): (u16, u32, u32), options: OptionsOut<'_>, data: &[u8]) {
        let header = HeaderOut {
            src_port: PEER_PORT,
            dst_port: PORT,
            seq,
            ack,
            window: 32_792,
            flags,
            options,
            ..HeaderOut::default()
        };
        let mut packet = [0; 2048];
        let pseudo = PseudoHeader::v4(REMOTE, LOCAL);
        let len = header.emit(pseudo, (data, &[]), &mut packet[ipv4::HEADER_LEN..]).expect("room");
        let ip = ipv4::HeaderOut {
            src: REMOTE,
            dst: LOCAL,
            protocol: Protocol::TCP,
            ttl: 64,
            traffic_class: TrafficClass(0),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        let len = ip.emit(len, &mut packet).expect("room") + len;
        // SAFETY: a call of the table, with the packet's own length.
        let sent =
            unsafe { (self.table.netdev_send)(self.table.userdata, packet.as_ptr().cast(), len) };
        assert_eq!(sent, 0);
    }

    /// The next segment of the stack: when, its flags, SEQ and ACK, and its data.
    fn sniff(&self) -> Sniffed {
        let mut packet = [0; 4096];
        let (mut len, mut at_us) = (packet.len(), 0);
        // SAFETY: a call of the table, with the buffer's own length.
        let received = unsafe {
            (self.table.netdev_receive)(
                self.table.userdata,
                packet.as_mut_ptr().cast(),
                &raw mut len,
                &raw mut at_us,
            )
        };
        assert_eq!(received, 0);
        assert!(len > 0, "nothing will ever be sent");
        let (ip, payload) = ipv4::parse(&packet[..len]).expect("a packet of IP");
        assert_eq!((ip.src, ip.dst), (LOCAL, REMOTE));
        let (header, data) = tcp::parse(payload).expect("a segment");
        Sniffed {
            at_us,
            flags: header.flags,
            seq: header.seq,
            ack: header.ack,
            window: header.window,
            data: data.to_vec(),
        }
    }

    /// A handshake of the peer's, up to its last ACK; gives our initial sequence number.
    fn handshake(&self) -> u32 {
        let options = OptionsOut { mss: Some(1000), ..OptionsOut::default() };
        self.inject((SYN, 0, 0), options, &[]);
        let answer = self.sniff();
        assert_eq!((answer.flags, answer.ack), (SYN | ACK, 1));
        self.inject((ACK, 1, answer.seq + 1), OptionsOut::default(), &[]);
        answer.seq
    }

    fn accept(&self, listener: c_int) -> c_int {
        let (at, len) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: a call of the table; both pointers may be null.
        unsafe { (self.table.accept)(self.table.userdata, listener, at, len) }
    }

    fn read(&self, fd: c_int, most: usize) -> Result<Vec<u8>, i32> {
        let mut bytes = vec![0; most];
        // SAFETY: a call of the table, with the buffer's own length.
        let read =
            unsafe { (self.table.read)(self.table.userdata, fd, bytes.as_mut_ptr().cast(), most) };
        let read = usize::try_from(read).map_err(|_| errno())?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn write(&self, fd: c_int, bytes: &[u8]) -> isize {
        // SAFETY: a call of the table, with the buffer's own length.
        unsafe { (self.table.write)(self.table.userdata, fd, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// An option of one number.
    fn set(&self, fd: c_int, level: c_int, name: c_int, value: c_int) {
        let (at, len) = ((&raw const value).cast(), size_of::<c_int>() as c_uint);
        // SAFETY: a call of the table, with the number's own length.
        let set = unsafe { (self.table.setsockopt)(self.table.userdata, fd, level, name, at, len) };
        assert_eq!(set, 0);
    }

    fn close(&self, fd: c_int) {
        // SAFETY: a call of the table.
        assert_eq!(unsafe { (self.table.close)(self.table.userdata, fd) }, 0);
    }

    fn set_non_blocking(&self, fd: c_int) {
        let flags = c_long::from(libc::O_RDWR | libc::O_NONBLOCK);
        // SAFETY: a call of the table.
        let set = unsafe { (self.table.fcntl)(self.table.userdata, fd, libc::F_SETFL, flags) };
        assert_eq!(set, 0);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: nothing is called after this.
        unsafe { (self.table.free)(self.table.userdata) };
    }
}

#[derive(Debug)]
struct Sniffed {
    at_us: i64,
    flags: u16,
    seq: u32,
    ack: u32,
    window: u16,
    data: Vec<u8>,
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[test]
fn a_connection_is_accepted_carries_data_and_closes() {
    let stack = Stack::load();
    let listener = stack.listener();
    let iss = stack.handshake();
    let fd = stack.accept(listener);
    assert!(fd >= 0);

    stack.inject((ACK | PSH, 1, iss + 1), OptionsOut::default(), b"hello");
    assert_eq!(stack.sniff().ack, 6);
    assert_eq!(stack.read(fd, 100), Ok(b"hello".to_vec()));
    assert_eq!(stack.write(fd, b"world"), 5);
    let answer = stack.sniff();
    assert_eq!((answer.flags, answer.seq, &answer.data[..]), (ACK | PSH, iss + 1, &b"world"[..]));
    stack.inject((ACK, 6, iss + 6), OptionsOut::default(), &[]);

    stack.close(fd);
    let ours = stack.sniff();
    assert_eq!((ours.flags, ours.seq), (FIN | ACK, iss + 6));
    stack.inject((FIN | ACK, 6, iss + 7), OptionsOut::default(), &[]);
    assert_eq!(stack.sniff().ack, 7);
    stack.close(listener);
}

#[test]
fn a_timer_fires_at_its_own_time_while_the_script_waits_for_a_packet() {
    let stack = Stack::load();
    let _listener = stack.listener();
    let options = OptionsOut { mss: Some(1000), ..OptionsOut::default() };
    stack.inject((SYN, 0, 0), options, &[]);
    let first = stack.sniff();
    let again = stack.sniff();
    // RFC 6298 (2.1): one second before the first measurement.
    let waited_us = again.at_us - first.at_us;
    assert!((1_000_000..1_005_000).contains(&waited_us), "{waited_us}");
    assert_eq!((again.flags, again.seq), (SYN | ACK, first.seq));
}

#[test]
fn the_clock_moves_by_what_is_slept_and_with_each_reading() {
    let stack = Stack::load();
    let start = stack.now_us();
    assert_eq!(stack.now_us(), start + 1);
    stack.sleep_ms(250);
    assert_eq!(stack.now_us(), start + 250_002);
}

#[test]
fn a_blocked_accept_sleeps_on_a_second_thread_and_wakes_at_the_time_of_the_ack() {
    let stack = Stack::load();
    let listener = stack.listener();
    let table = stack.table;
    let (tell_id, id) = mpsc::channel();
    let blocked = thread::spawn(move || {
        let caller = std::mem::ManuallyDrop::new(Stack { table });
        // SAFETY: a plain system call.
        tell_id.send(unsafe { libc::gettid() }).expect("a listener");
        let fd = caller.accept(listener);
        (fd, caller.now_us())
    });
    let thread = id.recv().expect("the thread's number");
    let sleeps = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
    });
    assert!(sleeps, "packetdrill takes a call for blocked when its thread is in state S");

    stack.sleep_ms(100);
    stack.handshake();
    let established_us = stack.now_us();
    stack.sleep_ms(500);
    let (fd, woken_us) = blocked.join().expect("accept returns");
    assert!(fd >= 0);
    assert!((established_us - 5..=established_us).contains(&woken_us), "{woken_us}");
}

#[test]
fn what_cannot_be_done_now_says_so() {
    let stack = Stack::load();
    let listener = stack.listener();
    stack.set_non_blocking(listener);
    assert_eq!((stack.accept(listener), errno()), (-1, libc::EAGAIN));
    stack.handshake();
    let fd = stack.accept(listener);
    stack.set_non_blocking(fd);
    assert_eq!(stack.read(fd, 10), Err(libc::EAGAIN));
    let nowhere = core::ptr::null_mut();
    // SAFETY: a bad pointer is what is tried; the library is to refuse it.
    let read = unsafe { (stack.table.read)(stack.table.userdata, fd, nowhere, 0) };
    assert_eq!(read, 0);
    // SAFETY: as above.
    let written = unsafe { (stack.table.write)(stack.table.userdata, fd, nowhere, 10) };
    assert_eq!((written, errno()), (-1, libc::EFAULT));
    assert_eq!(stack.read(9999, 10), Err(libc::EBADF));
}

#[test]
fn tcp_info_comes_through_getsockopt_of_the_c_library() {
    let stack = Stack::load();
    let listener = stack.listener();
    stack.sleep_ms(10);
    stack.handshake();
    let fd = stack.accept(listener);
    let mut info = [0_u8; 232];
    let mut len = info.len() as c_uint;
    // SAFETY: the C library's call, with the buffer's own length. The library has put its own in its place.
    let asked = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    assert_eq!((asked, len as usize), (0, info.len()));
    assert_eq!(info[0], 1, "TCP_ESTABLISHED");
    let word = |at: usize| u32::from_ne_bytes(info[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(word(16), 1000, "tcpi_snd_mss");
    assert_eq!(word(80), 10, "tcpi_snd_cwnd, in segments (RFC 6928)");

    // Descriptors that are not the stack's are still the kernel's.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket of the kernel's");
    assert!(socket.take_error().expect("SO_ERROR").is_none());
}

#[test]
fn poll_and_epoll_tell_what_is_ready() {
    let stack = Stack::load();
    let Interface { userdata, poll, epoll_create, epoll_ctl, epoll_wait, .. } = stack.table;
    let listener = stack.listener();
    let iss = stack.handshake();
    let fd = stack.accept(listener);
    let mut asked = libc::pollfd { fd, events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    // SAFETY: calls of the table, with structures of our own.
    unsafe {
        assert_eq!(poll(userdata, &raw mut asked, 1, 0), 1);
        assert_eq!(asked.revents, libc::POLLOUT);
        let epoll = epoll_create(userdata, 1);
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: 7 };
        assert_eq!(epoll_ctl(userdata, epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event), 0);
        assert_eq!(epoll_wait(userdata, epoll, &raw mut event, 1, 0), 0);
        stack.inject((ACK | PSH, 1, iss + 1), OptionsOut::default(), b"hello");
        assert_eq!(epoll_wait(userdata, epoll, &raw mut event, 1, 0), 1);
        assert_eq!(({ event.u64 }, { event.events }), (7, libc::EPOLLIN as u32));
        assert_eq!(epoll_wait(userdata, epoll, &raw mut event, 1, 0), 0, "an edge is told once");
    }
}

/// `struct tcp_info` of a socket.
fn tcp_info(fd: c_int) -> Vec<u8> {
    let mut info = vec![0_u8; 248];
    let mut len = info.len() as c_uint;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the C library's call, with the buffer's own length.
    let asked =
        unsafe { libc::getsockopt(fd, level, name, info.as_mut_ptr().cast(), &raw mut len) };
    assert_eq!(asked, 0);
    info
}

fn long(info: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(info[at..at + 8].try_into().expect("eight bytes"))
}

#[test]
fn tcp_info_tells_of_recovery_and_of_what_limits_the_sender() {
    let stack = Stack::load();
    let listener = stack.listener();
    let options = OptionsOut { mss: Some(1000), sack_permitted: true, ..OptionsOut::default() };
    stack.inject((SYN, 0, 0), options, &[]);
    let iss = stack.sniff().seq;
    stack.sleep_ms(100);
    stack.inject((ACK, 1, iss + 1), OptionsOut::default(), &[]);
    let fd = stack.accept(listener);
    assert_eq!(stack.write(fd, &[0; 4000]), 4000);
    (0..4).for_each(|_| drop(stack.sniff()));
    stack.sleep_ms(100);
    let selected = [(iss + 1001, iss + 2001)];
    let sack = OptionsOut { sack: &selected, ..OptionsOut::default() };
    stack.inject((ACK, 1, iss + 1), sack, &[]);
    let info = tcp_info(fd);
    assert_eq!(info[1], 1, "TCP_CA_Disorder");
    let word = |at: usize| u32::from_ne_bytes(info[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((word(24), word(28)), (4, 1), "tcpi_unacked, tcpi_sacked");
    let (busy, window) = (long(&info, 168), long(&info, 176));
    assert!((100_000..101_000).contains(&busy), "{busy}");
    assert_eq!(window, 0, "tcpi_rwnd_limited");
}

#[test]
fn what_is_sent_with_more_to_follow_waits_and_is_not_pushed() {
    let stack = Stack::load();
    let listener = stack.listener();
    let iss = stack.handshake();
    let fd = stack.accept(listener);
    let Interface { userdata, sendto, .. } = stack.table;
    let send = |len: usize, flags: c_int| {
        let bytes = vec![0_u8; len];
        // SAFETY: a call of the table, with the buffer's own length and no address.
        unsafe { sendto(userdata, fd, bytes.as_ptr().cast(), len, flags, core::ptr::null(), 0) }
    };
    assert_eq!(send(1100, libc::MSG_MORE), 1100);
    let first = stack.sniff();
    assert_eq!((first.data.len(), first.flags), (1000, ACK));
    stack.inject((ACK, 1, iss + 1001), OptionsOut::default(), &[]);
    let rest = stack.sniff();
    assert_eq!((rest.data.len(), rest.flags), (100, ACK), "the answer lets it go, without PSH");
}

#[test]
fn the_mtu_bounds_the_segments() {
    let stack = Stack::load_with(c"sysctls=off,mtu=600");
    let listener = stack.listener();
    stack.handshake();
    let fd = stack.accept(listener);
    assert_eq!(stack.write(fd, &[0; 1000]), 1000);
    assert_eq!(stack.sniff().data.len(), 560);
}

#[test]
fn the_congestion_control_is_chosen_per_socket() {
    let stack = Stack::load();
    let Interface { userdata, getsockopt, setsockopt, .. } = stack.table;
    let listener = stack.listener();
    let key = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);
    let name = |fd: c_int| {
        let mut text = [0_u8; 16];
        let mut len = text.len() as c_uint;
        // SAFETY: a call of the table, with the buffer's own length.
        unsafe { getsockopt(userdata, fd, key.0, key.1, text.as_mut_ptr().cast(), &raw mut len) };
        String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned()
    };
    stack.handshake();
    let fd = stack.accept(listener);
    // SAFETY: a call of the table, with the name's own length.
    let set = unsafe { setsockopt(userdata, fd, key.0, key.1, c"reno".as_ptr().cast(), 4) };
    assert_eq!(set, 0);
    assert_eq!((name(fd), name(listener)), ("reno".to_owned(), "cubic".to_owned()));
}

#[test]
fn the_window_is_bounded_by_the_receive_buffer_and_by_the_clamp() {
    for (level, name) in
        [(libc::SOL_SOCKET, libc::SO_RCVBUF), (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP)]
    {
        let stack = Stack::load();
        let listener = stack.listener();
        let iss = stack.handshake();
        let fd = stack.accept(listener);
        stack.set(fd, level, name, 4000);
        // What was offered before is not taken back: it is used up first.
        let (mut seq, mut windows) = (1, Vec::new());
        for _ in 0..80 {
            stack.inject((ACK | PSH, seq, iss + 1), OptionsOut::default(), &[0; 1000]);
            seq += 1000;
            assert_eq!(stack.read(fd, 1000).map(|bytes| bytes.len()), Ok(1000));
            windows.push(stack.sniff().window);
        }
        assert!(windows[0] > 60_000, "{windows:?}");
        assert!(windows[70..].iter().all(|window| (2000..=4000).contains(window)), "{windows:?}");
    }
}

#[test]
fn a_listener_with_a_small_buffer_offers_little_from_the_beginning() {
    let stack = Stack::load();
    let listener = stack.listener();
    stack.set(listener, libc::SOL_SOCKET, libc::SO_RCVBUF, 8000);
    stack.inject((SYN, 0, 0), OptionsOut { mss: Some(1000), ..OptionsOut::default() }, &[]);
    assert!(stack.sniff().window <= 8000);
}

#[test]
fn a_listener_that_defers_accepts_who_has_something_to_say() {
    let stack = Stack::load();
    let listener = stack.listener();
    stack.set(listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 5);
    stack.set_non_blocking(listener);
    let iss = stack.handshake();
    assert_eq!((stack.accept(listener), errno()), (-1, libc::EAGAIN));
    stack.inject((ACK | PSH, 1, iss + 1), OptionsOut::default(), b"hello");
    assert!(stack.accept(listener) >= 0);
}

#[test]
fn no_more_is_taken_than_may_wait_unsent() {
    let stack = Stack::load();
    let listener = stack.listener();
    stack.handshake();
    let fd = stack.accept(listener);
    stack.set_non_blocking(fd);
    stack.set(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, 5000);
    // Ten segments go at once, the rest waits for the window.
    assert_eq!(stack.write(fd, &[0; 20_000]), 20_000);
    assert_eq!((stack.write(fd, &[0; 1000]), errno()), (-1, libc::EAGAIN));
}

#[test]
fn bursts_end_with_psh_unless_a_script_wants_none() {
    // On a path without a round trip to speak of a burst is half of the initial window.
    for (flags, pushed) in [(c"sysctls=off", 2), (c"sysctls=off,bursts=off", 0)] {
        let stack = Stack::load_with(flags);
        let listener = stack.listener();
        stack.handshake();
        let fd = stack.accept(listener);
        assert_eq!(stack.write(fd, &[0; 20_000]), 20_000);
        let sent: Vec<_> = (0..10).map(|_| stack.sniff().flags).collect();
        assert_eq!(sent.iter().filter(|flags| **flags & PSH != 0).count(), pushed);
    }
}
