//! Connections of clients. All of a test open with its cookie: the first is its control, the others
//! are its streams.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use linerate::net::{TcpStream, draining, timeout};
use linerate::{KeepAlive, SocketOption};
use tokio::sync::mpsc::{Sender, channel};

use super::control;
use super::protocol::{COOKIE, State};
use crate::launch::{Arguments, Outcome, run, serve};

/// The longest time from the handshake to the end of the cookie.
const COOKIE_WAIT: Duration = Duration::from_secs(5);

/// Streams of a test that may wait for it: as many as iperf3 opens, in both directions.
const STREAMS: usize = 256;

/// Probes of a silent client: it is given up after half a minute.
const PROBES: KeepAlive = KeepAlive {
    idle: linerate::Duration::from_secs(10),
    interval: linerate::Duration::from_secs(5),
    probes: 4,
};

/// The test that runs.
struct Running {
    cookie: [u8; COOKIE],
    streams: Sender<TcpStream>,
}

type Slot = Rc<RefCell<Option<Running>>>;

/// Serves iperf3 on port 5201.
pub(crate) fn main(arguments: &Arguments) -> Outcome {
    let port = arguments.port.unwrap_or(5201);
    run(arguments, move || async move {
        let running = Slot::default();
        serve(port, move |stream| connection(stream, Rc::clone(&running))).await
    })
}

/// Runs a test, or gives the running one its stream.
async fn connection(mut stream: TcpStream, running: Slot) -> Outcome {
    stream.set_nodelay(true)?;
    let mut cookie = [0; COOKIE];
    timeout(COOKIE_WAIT, stream.read_exact(&mut cookie)).await??;
    let known = running.borrow().as_ref().map(|test| (test.cookie, test.streams.clone()));
    match known {
        Some((known, streams)) if known == cookie => {
            // A stream too many is dropped, and closes.
            let _ = streams.try_send(stream);
        }
        Some(_) => State::AccessDenied.send(&mut stream).await?,
        None => {
            // A client that vanishes during a long test frees the server.
            stream.set_option(SocketOption::KeepAlive(true))?;
            stream.set_option(SocketOption::KeepAliveTimes(PROBES))?;
            let (streams, mut arriving) = channel(STREAMS);
            *running.borrow_mut() = Some(Running { cookie, streams });
            let _freed = FreeOnDrop(running);
            tokio::select! {
                result = control::run(&mut stream, &mut arriving) => return result,
                _ = draining() => {}
            }
            State::ServerTerminate.send(&mut stream).await?;
        }
    }
    Ok(())
}

/// Lets the next test run, however this one ends.
struct FreeOnDrop(Slot);

impl Drop for FreeOnDrop {
    fn drop(&mut self) {
        self.0.borrow_mut().take();
    }
}
