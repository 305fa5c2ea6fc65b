//! The start and the end of an example: arguments, the stack, `ready`, the drain on SIGTERM.
//!
//! An example is an async function that runs on each worker; [`serve`] is its accept loop.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use linerate::net::{Executor, TcpListener, TcpStream, spawn, worker};
use linerate::{Shutdown, Stack, StackConfig};
use tokio::sync::mpsc;

/// The longest time that connections have to finish after SIGTERM. Beyond it they are reset.
pub(crate) const GRACE: linerate::Duration = linerate::Duration::from_secs(5);

/// The result of an example, and of one of its connections.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The arguments of every example: `INTERFACE ADDRESS/PREFIX [PORT]`.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// The interface.
    pub interface: String,
    /// The address of the stack on it, which the kernel does not have.
    pub address: IpAddr,
    /// The length of the address's prefix.
    pub prefix: u8,
    /// The port, if one is given.
    pub port: Option<u16>,
    /// Arguments after the port.
    pub rest: Vec<String>,
}

impl Arguments {
    /// Parses the arguments that follow the name of the example.
    ///
    /// # Errors
    /// A message with the form expected.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let interface = words.next().ok_or("no INTERFACE given")?;
        let cidr = words.next().ok_or("no ADDRESS/PREFIX given, such as 10.99.0.11/24")?;
        let (address, prefix) = cidr
            .split_once('/')
            .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)))
            .ok_or_else(|| format!("`{cidr}` is not ADDRESS/PREFIX, such as 10.99.0.11/24"))?;
        let port = words
            .next()
            .map(|word| word.parse().map_err(|_| format!("`{word}` is not a PORT")))
            .transpose()?;
        Ok(Self { interface, address, prefix, port, rest: words.collect() })
    }
}

/// Runs `program` on the worker of a new stack until it ends, or SIGTERM or SIGINT drains it.
///
/// # Errors
/// The error with which the stack did not start, or that of the program.
pub(crate) fn run<F>(
    arguments: &Arguments,
    program: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Outcome
where
    F: Future<Output = Outcome> + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let (failures, failed) = std::sync::mpsc::channel();
    let addresses = vec![(arguments.address, arguments.prefix)];
    let config = StackConfig::new(&arguments.interface, addresses);
    let stack = Stack::start(&config, move |_worker| {
        let (program, failures) = (program.clone(), failures.clone());
        Box::new(Executor::new(async move || {
            if let Err(error) = program().await {
                // Fails only if the main thread is gone, and the process with it.
                let _ = failures.send(error);
            }
        }))
    })?;
    let events = stack.events();
    while !stop.load(Ordering::Relaxed) && stack.is_running() {
        if let Some(event) = events.recv_timeout(Duration::from_millis(50)) {
            eprintln!("{event}");
        }
    }
    stack.drain(GRACE);
    while stack.is_running() {
        std::thread::sleep(Duration::from_millis(10));
    }
    stack.stop(Shutdown::Abort);
    failed.try_recv().map_or(Ok(()), Err)
}

/// Accepts connections on `port` and spawns `connection` for each, until the stack drains. Then
/// waits for the connections that are left.
///
/// # Errors
/// When the port is in use.
pub(crate) async fn serve<F>(port: u16, connection: impl Fn(TcpStream) -> F) -> Outcome
where
    F: Future<Output = Outcome> + 'static,
{
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    announce();
    // Each task holds a sender and sends nothing: the receiver sees the last one go.
    let (alive, mut all_ended) = mpsc::channel::<()>(1);
    while let Ok((stream, peer)) = listener.accept().await {
        let (future, alive) = (connection(stream), alive.clone());
        spawn(async move {
            let _alive = alive;
            match future.await {
                Err(error) if !is_abrupt_end(&*error) => eprintln!("{peer}: {error}"),
                _ => {}
            }
        });
    }
    drop(alive);
    all_ended.recv().await;
    Ok(())
}

/// Prints `ready` once all workers serve.
fn announce() {
    static SERVING: AtomicUsize = AtomicUsize::new(0);
    let (_, workers) = worker();
    if SERVING.fetch_add(1, Ordering::Relaxed) + 1 == workers {
        println!("ready");
    }
}

/// Returns true for the errors of a peer that leaves without a word: load generators do.
fn is_abrupt_end(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let mut next = Some(error);
    while let Some(cause) = next {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(BrokenPipe | ConnectionReset | UnexpectedEof)) {
            return true;
        }
        next = cause.source();
    }
    false
}
