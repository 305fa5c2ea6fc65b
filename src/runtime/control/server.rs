//! The thread `linerate-control`: accepts clients and serves each on a short-lived thread.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, Scope};

use super::super::observer::Observer;
use super::super::waker::Waker;
use super::answer::answer;
use super::bounded::Patience;
use super::error::ControlError;
use super::socket::ControlSocket;
use crate::time::Duration;

/// Clients served at once. One that stalls does not delay the next; many do not fill the memory.
const CLIENTS_MAX: usize = 4;

/// The longest sleep. A client, the end of one or the end of the stack ends it early.
const IDLE: Duration = Duration::from_secs(3600);

/// Time between two attempts to accept a client while the system refuses file descriptors.
const RETRY_EVERY: Duration = Duration::from_millis(100);

const NAME: &str = "linerate-control";

/// The running thread; dropping it closes the socket and all its clients, and joins it.
#[derive(Debug)]
pub(in crate::runtime) struct ControlServer {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    waker: Waker,
    stop: AtomicBool,
    clients: Mutex<Vec<Arc<UnixStream>>>,
}

/// Why no more clients are accepted for now.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paused {
    /// None waits.
    Idle,
    /// As many as possible are served.
    Full,
    /// The system refuses.
    Refused,
}

impl ControlServer {
    /// Answers the requests of a socket with what `observer` sees.
    ///
    /// # Errors
    /// When the system refuses a thread or a file descriptor.
    pub(in crate::runtime) fn start(
        socket: ControlSocket,
        observer: Observer,
    ) -> Result<Self, ControlError> {
        Self::start_with(socket, observer, Patience::DEFAULT)
            .map_err(|error| ControlError::Thread { error })
    }

    fn start_with(
        socket: ControlSocket,
        observer: Observer,
        patience: Patience,
    ) -> io::Result<Self> {
        let (waker, stop) = (Waker::new()?, AtomicBool::new(false));
        let state = Arc::new(State { waker, stop, clients: Mutex::default() });
        let accepting = Arc::clone(&state);
        let thread = Builder::new()
            .name(NAME.into())
            .spawn(move || accepting.run(&socket, &observer, patience))?;
        Ok(Self { state, thread: Some(thread) })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.state.waker.wake();
        if let Some(thread) = self.thread.take() {
            // It panics if a client's thread did; its other clients were served to the end.
            let _ = thread.join();
        }
    }
}

impl State {
    fn run(&self, socket: &ControlSocket, observer: &Observer, patience: Patience) {
        std::thread::scope(|scope| {
            while !self.is_stopped() {
                let paused = self.accept_all(socket, scope, |stream| {
                    // An error means that the client has closed its end or timed out.
                    let _ = answer(stream, observer, patience);
                });
                let (listener, span) = match paused {
                    Paused::Idle => (Some(std::os::fd::AsFd::as_fd(socket)), IDLE),
                    Paused::Full => (None, IDLE),
                    Paused::Refused => (None, RETRY_EVERY),
                };
                self.waker.sleep(listener, span, || {
                    !self.is_stopped() && (paused != Paused::Full || self.is_full())
                });
            }
            // Ends blocked reads and writes. No client is added any more.
            for stream in self.clients().iter() {
                // Fails if the client has closed its end already.
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
    }

    fn accept_all<'scope>(
        &'scope self,
        socket: &ControlSocket,
        scope: &'scope Scope<'scope, '_>,
        serve: impl Fn(&UnixStream) + Clone + Send + 'scope,
    ) -> Paused {
        while !self.is_full() {
            let stream = match socket.accept() {
                Ok(stream) => Arc::new(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Paused::Idle,
                Err(_) => return Paused::Refused,
            };
            self.clients().push(Arc::clone(&stream));
            let (client, serve) = (Client { state: self, stream }, serve.clone());
            let thread = Builder::new().name(NAME.into());
            // Without a thread, the client sees the end of the stream.
            let _ = thread.spawn_scoped(scope, move || serve(&client.stream));
        }
        Paused::Full
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn is_full(&self) -> bool {
        self.clients().len() >= CLIENTS_MAX
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Arc<UnixStream>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that is being served.
struct Client<'a> {
    state: &'a State,
    stream: Arc<UnixStream>,
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.state.clients().retain(|it| !Arc::ptr_eq(it, &self.stream));
        self.state.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::path::PathBuf;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration as StdDuration;

    use serde_json::Value;

    use super::super::super::observer::tests::FakeWorker;
    use super::super::snapshot::Snapshot;
    use super::*;

    const SHORT: StdDuration = StdDuration::from_millis(20);
    const LONG: StdDuration = StdDuration::from_secs(3600);
    const ENDLESS: Patience = Patience { request: LONG, stall: LONG, response: LONG };

    /// More connections than fit into the buffers of a Unix socket.
    const MANY: u32 = 20_000;

    struct Served {
        path: PathBuf,
        server: Option<ControlServer>,
        _worker: FakeWorker,
    }

    fn serve(connections: u32, patience: Patience) -> Served {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("linerate-control-{}-{serial}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (worker, observer) = FakeWorker::with_connections(connections);
        let socket = ControlSocket::open(&path).expect("the name is free");
        let server = ControlServer::start_with(socket, observer, patience).expect("a thread");
        Served { path, server: Some(server), _worker: worker }
    }

    impl Served {
        fn connect(&self) -> UnixStream {
            UnixStream::connect(&self.path).expect("the server listens")
        }

        /// Sends a request and returns the lines of the response.
        fn query(&self, request: &[u8]) -> Vec<Value> {
            let mut stream = self.connect();
            // The server may close the socket before an overlong request is written.
            let _ = stream.write_all(request);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            lines.map(|line| serde_json::from_str(&line).expect("a line of JSON")).collect()
        }

        /// Requests all connections and reads the first bytes only, so that the server is writing.
        fn stall(&self) -> UnixStream {
            let mut stream = self.connect();
            stream.write_all(b"{\"ask\":\"connections\"}\n").expect("the server reads");
            stream.read_exact(&mut [0; 10]).expect("the server responds");
            stream
        }
    }

    #[test]
    fn figures_and_connections_are_answered_in_lines_of_json() {
        let served = serve(1000, Patience::DEFAULT);
        let figures = served.query(b"{\"ask\":\"figures\"}\n").remove(0);
        let snapshot: Snapshot = serde_json::from_value(figures).expect("a snapshot");
        assert_eq!((snapshot.pid, &*snapshot.interface), (std::process::id(), "eth0"));
        assert_eq!(snapshot.workers[0].queue, 5);
        let rows = served.query(b"{\"ask\":\"connections\"}\n");
        assert_eq!(rows.len(), 1001);
        assert_eq!(rows[999]["remote"], "192.0.2.2:999");
        assert_eq!(rows[1000]["end"], 1000);
        let some = br#"{"ask":"connections","states":["ESTABLISHED"],"port":7,"limit":2}"#;
        assert_eq!(served.query(some).len(), 3);
        assert_eq!(
            served.query(br#"{"ask":"connections","port":8}"#).len(),
            2,
            "port 8 and the end"
        );
    }

    #[test]
    fn an_invalid_request_is_answered_with_an_error() {
        let served = serve(1, Patience::DEFAULT);
        let long = [b"{\"ask\":\"", &[b'x'; 9000][..], b"\"}\n"].concat();
        let garbage: [&[u8]; 6] = [
            b"\n",
            b"{}\n",
            b"\xff\xfe\n",
            b"{\"ask\":\"passwords\"}\n",
            b"{\"ask\":\"connections\",\"port\":70000}\n",
            &long,
        ];
        for request in garbage {
            let lines = served.query(request);
            assert_eq!(lines.len(), 1, "{request:?}");
            assert!(lines[0]["error"].is_string(), "{lines:?}");
        }
        assert!(served.query(&long)[0]["error"].as_str().unwrap().contains("longer than 4096"));
        assert!(served.query(b"").is_empty());
        assert_eq!(served.query(b"{\"ask\":\"connections\"}\n").len(), 2);
    }

    #[test]
    fn clients_that_never_read_do_not_delay_the_next_one() {
        let served = serve(MANY, ENDLESS);
        let stalled: Vec<_> = (1..CLIENTS_MAX).map(|_| served.stall()).collect();
        assert_eq!(served.query(b"{\"ask\":\"figures\"}\n").len(), 1);
        drop(stalled);
    }

    #[test]
    fn more_clients_than_are_served_at_once_wait_until_one_ends() {
        let served = serve(MANY, ENDLESS);
        let mut stalled: Vec<_> = (0..CLIENTS_MAX).map(|_| served.stall()).collect();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| served.query(b"{\"ask\":\"figures\"}\n"));
            let state = &served.server.as_ref().expect("it runs").state;
            assert_eq!(state.clients().len(), CLIENTS_MAX);
            stalled.pop();
            assert_eq!(next.join().expect("it is served").len(), 1);
        });
    }

    #[test]
    fn clients_that_never_read_lose_their_streams() {
        let patience = Patience { stall: SHORT, ..ENDLESS };
        let served = serve(MANY, patience);
        let stalled: Vec<_> = (0..CLIENTS_MAX).map(|_| served.stall()).collect();
        assert_eq!(served.query(b"{\"ask\":\"figures\"}\n").len(), 1, "after a stall");
        for mut stream in stalled {
            let mut rest = String::new();
            stream.read_to_string(&mut rest).expect("the server closes its end");
            assert!(!rest.contains("\"end\""), "the listing is incomplete");
        }
    }

    #[test]
    fn the_end_of_the_server_does_not_wait_for_its_clients() {
        let mut served = serve(MANY, ENDLESS);
        // Three in the middle of their responses, one that sends no request.
        let mut clients: Vec<_> = (1..CLIENTS_MAX).map(|_| served.stall()).collect();
        clients.push(served.connect());
        drop(served.server.take());
        assert!(!served.path.exists());
        for mut stream in clients {
            // A reset, if a request was still waiting, is an end as well.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}
