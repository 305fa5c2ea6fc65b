//! A server of plain threads and blocking calls: one thread a connection, which answers each line
//! with its length.
//!
//! `linerate-examples blocking veth0 10.99.0.11/24 7000`
//!
//! The worker runs no task of the program. Threads reach it by a handle, and a stream is
//! [`std::io::Read`] and [`std::io::Write`].

use std::io::{self, BufRead, BufReader, Write};
use std::thread;

use linerate::StackConfig;
use linerate::net::{RemoteListener, RemoteStream, Runtime, block_on};

use crate::launch::{Arguments, GRACE, Outcome};

/// Longest line, bytes. A peer that sends a longer one is cut off.
const LINE_MAX: u64 = 64 * 1024;

/// Serves port 7000, or the one given, until SIGTERM or SIGINT.
pub(crate) fn main(arguments: &Arguments) -> Outcome {
    let addresses = vec![(arguments.address, arguments.prefix)];
    let config = StackConfig::new(&arguments.interface, addresses);
    let runtime = Runtime::start(&config, async |_worker| std::future::pending::<()>().await)?;
    let port = arguments.port.unwrap_or(7000);
    let listener = block_on(runtime.handle().listen(("0.0.0.0", port)))?;
    println!("ready");
    let acceptor = thread::spawn(move || accept_all(&listener));
    let signals = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT];
    signal_hook::iterator::Signals::new(signals)?.forever().next();
    runtime.drain(GRACE);
    runtime.wait()?;
    acceptor.join().map_err(|_| "the thread that accepts panicked")?;
    Ok(())
}

/// Accepts until the stack drains.
fn accept_all(listener: &RemoteListener) {
    while let Ok((stream, peer)) = block_on(listener.accept()) {
        thread::spawn(move || {
            if let Err(error) = answer(&stream) {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

fn answer(stream: &RemoteStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = io::Read::take(&mut lines, LINE_MAX).read_until(b'\n', &mut line)?;
        if n == 0 {
            return Ok(());
        }
        let mut stream = stream;
        writeln!(stream, "{}", line.trim_ascii_end().len())?;
    }
}
