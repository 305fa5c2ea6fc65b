//! The first future of a worker: accepts and opens the connections of its conversations.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::churn;
use super::part::Part;
use super::races::{Winner, race};
use super::shapes::perform;
use super::stage::{Act, Stage};
use crate::net::{
    JoinHandle, TcpListener, TcpSocket, TcpStream, draining, is_draining, sleep, sleep_until,
    spawn, timeout,
};
use crate::shard::{CloseReason, ConnectError, ListenerConfig};
use crate::sim::{End, Opening, PORT, Place};
use crate::time::{Duration, Instant};

/// Time until an open that found no port or no free connection is retried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limit of such retries.
const RETRIES_MAX: u32 = 300;

/// Accepts that are cancelled by a timeout, for each acceptor.
const TIMEOUTS_MAX: u64 = 30;

/// Acceptors that are replaced while the world plays.
const REPLACED_MAX: u64 = 20;

/// Runs a worker until the play is over.
pub(super) async fn program(stage: Rc<Stage>, place: Place, openings: Vec<(Instant, Opening)>) {
    let mut rng = stage.rng(1 << 40 | (place.0 as u64) << 8 | place.1 as u64);
    let backlog = stage.scenario.hosts[place.0].backlog;
    let config = ListenerConfig { backlog, ..ListenerConfig::on_port(PORT) };
    let listener = Rc::new(TcpListener::with_config(&config).expect("a free port"));
    let mut acceptors: Vec<_> =
        (0..=rng.below(3)).map(|number| accept_from(&stage, place, &listener, number)).collect();
    for (at, opening) in openings {
        spawn(open(Rc::clone(&stage), place, at, opening));
    }
    if !stage.scenario.simultaneous {
        churn::begin(&stage, place);
    }
    for number in 0..rng.below(REPLACED_MAX) {
        let pause = sleep(Duration::from_micros(rng.below(1_000_000)));
        if let Winner::Second(()) = race(pause, stage.until(Act::Closing)).await {
            break;
        }
        let one = rng.below(acceptors.len() as u64) as usize;
        acceptors[one].abort();
        acceptors[one] = accept_from(&stage, place, &listener, 8 + number);
    }
    stage.until(Act::Closing).await;
    acceptors.iter().for_each(JoinHandle::abort);
    drop(listener);
    stage.until(Act::Over).await;
}

fn accept_from(
    stage: &Rc<Stage>,
    place: Place,
    listener: &Rc<TcpListener>,
    number: u64,
) -> JoinHandle<()> {
    spawn(accept(Rc::clone(stage), place, Rc::clone(listener), number))
}

/// Accepts until the stack drains. Some accepts are cancelled by a timeout.
async fn accept(stage: Rc<Stage>, place: Place, listener: Rc<TcpListener>, number: u64) {
    let mut rng = stage.rng(2 << 40 | number << 16 | (place.0 as u64) << 8 | place.1 as u64);
    let mut timeouts = rng.below(TIMEOUTS_MAX);
    loop {
        let accepted = if timeouts > 0 {
            timeouts -= 1;
            let span = Duration::from_micros(rng.below(100_000));
            match timeout(span, listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) => continue,
            }
        } else {
            listener.accept().await
        };
        match accepted {
            Ok((stream, peer)) => serve(&stage, place, stream, peer),
            Err(_) if is_draining() => return,
            Err(error) => return stage.violated(|| format!("an accept failed: {error}")),
        }
    }
}

fn serve(stage: &Rc<Stage>, place: Place, stream: TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else {
        return stage.violated(|| format!("a connection from {peer} has no local address"));
    };
    let accepted = stage.ledger.borrow_mut().accepted((place, stream.id()), (peer, local));
    match accepted {
        Some(number) => drop(spawn(perform(Part::new(stage, place, number, 1), stream))),
        None => stream.abort(),
    }
}

/// Opens a connection when it is due, unless the stack drains.
async fn open(stage: Rc<Stage>, place: Place, at: Instant, opening: Opening) {
    let Opening { conversation, side, remote, local, .. } = opening;
    let end = |end| {
        stage.ledger.borrow_mut().conversations[conversation].sides[side].end = Some(end);
    };
    if let Winner::Second(_) = race(sleep_until(at), draining()).await {
        return end(End::NeverOpened);
    }
    let socket = TcpSocket::new().bind(local);
    let mut retries = 0;
    let error = loop {
        match socket.connect(remote).await {
            Ok(stream) => {
                let ends = (stream.local_addr(), stream.peer_addr());
                let (Ok(local), Ok(remote)) = ends else {
                    return stage.violated(|| "a new connection has no addresses".to_owned());
                };
                let conn = (place, stream.id());
                stage.ledger.borrow_mut().opened((conversation, side), conn, (local, remote));
                return perform(Part::new(&stage, place, conversation, side), stream).await;
            }
            Err(error) if is_local(&error) && retries < RETRIES_MAX && !is_draining() => {
                retries += 1;
                sleep(RETRY_AFTER).await;
            }
            Err(error) => break error,
        }
    };
    match reason(&error) {
        _ if is_local(&error) => end(End::NeverOpened),
        Some(reason) => end(End::Closed(reason)),
        None => stage.violated(|| format!("an open failed: {error:?}")),
    }
}

/// Returns true if an open failed before it sent anything.
fn is_local(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<ConnectError>())
}

/// Returns the cause of a failed open.
fn reason(error: &io::Error) -> Option<CloseReason> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => CloseReason::Refused,
        io::ErrorKind::ConnectionReset => CloseReason::Reset,
        io::ErrorKind::ConnectionAborted => CloseReason::Aborted,
        io::ErrorKind::TimedOut => CloseReason::TimedOut,
        io::ErrorKind::HostUnreachable => CloseReason::Unreachable,
        io::ErrorKind::OutOfMemory => CloseReason::NoBuffers,
        _ => return None,
    })
}
