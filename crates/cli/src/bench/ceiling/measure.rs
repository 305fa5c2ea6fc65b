//! The ceiling, measured once: both ends opened on a fresh pair, each on a thread on a core of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use linerate::time::Duration;

use super::echo::{self, Echoed, Mirror};
use super::end::{End, Place};
use super::exchange::{self, Exchanged, Joining, Server};
use super::segment::Route;
use crate::bench::lab::{Drops, Lab, Napi, Side, Wish};
use crate::failure::Failure;

/// In-flight frames of the echo, and frames of a turn.
pub const BATCHES: [usize; 4] = [1, 16, 64, 256];

/// Segments of a connection, opened and closed.
pub const SEGMENTS: u8 = 7;

/// The same with each end's FIN joined to its ACK.
pub const SEGMENTS_JOINED: u8 = 5;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// The cores of the server's end and of the client's.
    pub cores: [usize; 2],
    /// How frames arrive.
    pub napi: Napi,
    /// Connections in flight in the exchange.
    pub concurrency: u16,
    /// How long each echo is measured.
    pub echo_span: Duration,
    /// How long each exchange is.
    pub exchange_span: Duration,
}

/// What came of it.
pub struct Measured {
    /// In the order of [`BATCHES`].
    pub echoes: Vec<Echoed>,
    /// Opens and closes in seven segments.
    pub exchange: Exchanged,
    /// The same with what can be joined joined.
    pub joined: Exchanged,
    /// Packets that the devices and the sockets dropped meanwhile.
    pub drops: Drops,
    /// How the program is attached and the sockets bound.
    pub attachment: String,
}

/// Measures on a pair of its own.
///
/// # Errors
/// When the pair cannot be made or AF_XDP is not to be had.
pub fn measure(task: &Task) -> Result<Measured, Failure> {
    let lab = Lab::new(&Wish { cores: task.cores, napi: task.napi, kernel_sources: None })?;
    let before = lab.drops();
    let [at_server, at_client] = [Side::Server, Side::Client].map(|side| Place {
        interface: side.interface(),
        mac: side.mac(),
        address: side.address(0),
        core: task.cores[usize::from(side == Side::Client)],
    });
    let open = |side: Side, place: &Place| {
        let place = place.clone();
        lab.end(side).run(move || End::open(&place))
    };
    let mut server = open(Side::Server, &at_server)?;
    let mut client = open(Side::Client, &at_client)?;
    let (there, back) =
        (Route::between(&at_client, &at_server), Route::between(&at_server, &at_client));
    let echoes = BATCHES.map(|batch| {
        side_by_side(
            &mut server,
            &mut client,
            |end, stop| end.serve(batch, &mut Mirror, stop),
            |end| echo::volley(end, &there, batch, task.echo_span),
        )
    });
    let [exchange, joined] = [SEGMENTS, SEGMENTS_JOINED].map(Joining::of).map(|joining| {
        let (in_flight, span) = (task.concurrency, task.exchange_span);
        side_by_side(
            &mut server,
            &mut client,
            |end, stop| end.serve(exchange::BATCH, &mut Server { route: &back, joining }, stop),
            |end| exchange::open_and_close(end, &there, joining, in_flight, span),
        )
    });
    let mut drops = lab.drops().since(&before);
    drops.sockets = server.statistics().rx_dropped + client.statistics().rx_dropped;
    let attachment = client.description();
    Ok(Measured { echoes: echoes.into(), exchange, joined, drops, attachment })
}

/// Runs the server's part for as long as the client's takes.
fn side_by_side<T: Send>(
    server: &mut End,
    client: &mut End,
    serve: impl FnOnce(&mut End, &AtomicBool) + Send,
    ask: impl FnOnce(&mut End) -> T + Send,
) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| serve(server, &stop));
        let asked = scope.spawn(|| ask(client)).join();
        stop.store(true, Ordering::Relaxed);
        asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
