//! A stack that runs an async program: one executor a worker, and the handle for other threads.

use std::sync::{Arc, Mutex, PoisonError};

use super::executor::Executor;
use super::executor::queue::Shared;
use super::remote::Handle;
use crate::runtime::{Report, Shutdown, Stack, StackConfig, StartError};
use crate::time::Duration;

/// Time between two looks at the workers while [`Runtime::wait`] waits: no worker depends on it.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// The result of a program's future on a worker: nothing, or an error that ends the program.
pub trait Outcome {
    /// Returns the error as text, if it is one.
    fn error(self) -> Option<String>;
}

impl Outcome for () {
    fn error(self) -> Option<String> {
        None
    }
}

impl<E: core::fmt::Display> Outcome for Result<(), E> {
    fn error(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// The error of a program that did not start, or ended with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The stack did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The program's future on a worker ended with this error.
    #[error("the program ended with an error on worker {worker}: {message}")]
    Program {
        /// The worker's number.
        worker: usize,
        /// The error.
        message: String,
    },
}

/// The errors of the workers' programs. The first one counts.
type FirstError = Arc<Mutex<Option<(usize, String)>>>;

/// A running stack with an async program on each worker.
///
/// # Examples
///
/// A server that drains when `terminated` says so, a signal for instance:
///
/// ```no_run
/// # fn run(config: linerate::StackConfig, terminated: impl Fn() -> bool)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// use linerate::net::{Runtime, TcpListener, copy, spawn};
/// use linerate::Duration;
///
/// let runtime = Runtime::start(&config, async |_worker| {
///     let listener = TcpListener::bind("0.0.0.0:7").await?;
///     while let Ok((mut stream, _)) = listener.accept().await {
///         spawn(async move {
///             let (mut read, mut write) = stream.split();
///             copy(&mut read, &mut write).await
///         });
///     }
///     std::io::Result::Ok(())
/// })?;
/// while !terminated() {
///     std::thread::sleep(std::time::Duration::from_millis(50));
/// }
/// runtime.drain(Duration::from_secs(5));
/// runtime.wait()?;
/// # Ok(())
/// # }
/// ```
pub struct Runtime {
    stack: Stack,
    handle: Handle,
    error: FirstError,
}

impl Runtime {
    /// Starts a stack and waits until its addresses are known to be free. Each worker calls
    /// `program` with its number, on its own thread, and runs the future; a worker's service stops
    /// when its future ends, and the stack when those of all workers have.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays attached then.
    pub fn start<F, T>(config: &StackConfig, program: F) -> Result<Self, StartError>
    where
        F: AsyncFn(usize) -> T + Send + Sync + 'static,
        T: Outcome,
    {
        let workers: Vec<_> = (0..config.workers()).map(|_| Shared::new()).collect();
        let handle = Handle::of(workers.clone());
        let error = FirstError::default();
        let (program, first) = (Arc::new(program), Arc::clone(&error));
        let stack = Stack::start(config, move |worker| {
            let (program, first) = (Arc::clone(&program), Arc::clone(&first));
            let main = async move || {
                if let Some(message) = program(worker).await.error() {
                    let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert((worker, message));
                }
            };
            Box::new(Executor::with_shared(Arc::clone(&workers[worker]), main))
        })?;
        Ok(Self { stack, handle, error })
    }

    /// Returns the stack: its events, its counters, how it is attached.
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Returns the handle by which other threads use the workers.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Begins to drain, as [`Stack::drain`] does: listeners close,
    /// [`draining`](crate::net::draining) ends, and what is left after `grace` is reset.
    pub fn drain(&self, grace: impl Into<Duration>) {
        self.stack.drain(grace.into());
    }

    /// Waits until the programs of all workers have ended, or the stack was drained, and stops the
    /// stack. Returns the last counters.
    ///
    /// # Errors
    /// [`ProgramError::Program`] with the first error of a worker's program.
    pub fn wait(self) -> Result<Report, ProgramError> {
        while self.stack.is_running() && !self.stack.interface_is_gone() {
            std::thread::sleep(POLL);
        }
        let report = self.stack.stop(Shutdown::Abort);
        let first = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        match first {
            Some((worker, message)) => Err(ProgramError::Program { worker, message }),
            None => Ok(report),
        }
    }
}

impl core::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Runtime").field("stack", &self.stack).finish_non_exhaustive()
    }
}

/// Starts a stack, runs an async program on each worker, and waits for its end. Prints the stack's
/// notes and events to standard error; [`Runtime`] leaves them to the program.
///
/// # Errors
/// As [`Runtime::start`] and [`Runtime::wait`].
pub fn run<F, T>(config: &StackConfig, program: F) -> Result<Report, ProgramError>
where
    F: AsyncFn(usize) -> T + Send + Sync + 'static,
    T: Outcome,
{
    let runtime = Runtime::start(config, program)?;
    for note in runtime.stack().notes() {
        eprintln!("note: {note}");
    }
    let events = runtime.stack().events();
    let printer = std::thread::spawn(move || {
        while let Some(event) = events.recv() {
            eprintln!("note: {event}");
        }
    });
    let ended = runtime.wait();
    // The channel ends with the stack.
    let _ = printer.join();
    ended
}
