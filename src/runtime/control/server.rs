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
