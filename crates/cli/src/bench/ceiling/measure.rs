//! One measurement of the ceiling, on a new veth pair, with each endpoint on its own thread and
//! core.

use std::sync::atomic::{AtomicBool, Ordering};

use linerate::time::Duration;

use super::echo::{self, EchoResponder, EchoResult};
use super::endpoint::{Endpoint, EndpointConfig};
use super::exchange::{self, ExchangeResult, Joining, Server};
use super::segment::Route;
use crate::bench::testbed::{Drops, Napi, Side, Testbed, TestbedConfig};
use crate::failure::Failure;

/// Batch sizes of the echo: frames in flight and maximum frames per turn.
pub(super) const BATCHES: [usize; 4] = [1, 16, 64, 256];

/// Segments that open and close a connection.
pub(super) const SEGMENTS: u8 = 7;

/// Segments that open and close a connection if both ends join their FIN with an ACK.
pub(super) const SEGMENTS_JOINED: u8 = 5;

/// Configuration of a ceiling measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CeilingConfig {
    /// Cores of the server and the client.
    pub cores: [usize; 2],
    /// Delivery mode of the veth pair.
    pub napi: Napi,
    /// Connections in flight in the exchange.
    pub concurrency: u16,
    /// Length of each echo measurement.
    pub echo_span: Duration,
    /// Length of each exchange measurement.
    pub exchange_span: Duration,
}

/// Result of a ceiling measurement.
pub(crate) struct Measurement {
    /// Echo results, in the order of [`BATCHES`].
    pub echoes: Vec<EchoResult>,
    /// Exchange of seven segments per connection.
    pub exchange: ExchangeResult,
    /// Exchange of five segments per connection.
    pub joined: ExchangeResult,
    /// Packets that the interfaces and sockets dropped during the measurement.
    pub drops: Drops,
    /// Attach mode of the XDP program and bind mode of the sockets.
    pub attachment: String,
}

/// Measures the ceiling on a new pair.
///
/// # Errors
/// When the pair cannot be created or AF_XDP is not available.
pub(crate) fn measure(config: &CeilingConfig) -> Result<Measurement, Failure> {
    let testbed = Testbed::new(&TestbedConfig {
        cores: config.cores,
        napi: config.napi,
        kernel_addresses: [0; 2],
    })?;
    let before = testbed.drops();
    let [at_server, at_client] = [Side::Server, Side::Client].map(|side| EndpointConfig {
        interface: side.interface(),
        mac: side.mac(),
        address: side.address(0),
        core: config.cores[usize::from(side == Side::Client)],
    });
    let open = |side: Side, config: &EndpointConfig| {
        let config = config.clone();
        testbed.end(side).run(move || Endpoint::open(&config))
    };
    let mut server = open(Side::Server, &at_server)?;
    let mut client = open(Side::Client, &at_client)?;
    let (there, back) =
        (Route::between(&at_client, &at_server), Route::between(&at_server, &at_client));
    let echoes = BATCHES.map(|batch| {
        side_by_side(
            &mut server,
            &mut client,
            |end, stop| end.run_until(batch, &mut EchoResponder, stop),
            |end| echo::ping_pong(end, &there, batch, config.echo_span),
        )
    });
    let [exchange, joined] = [SEGMENTS, SEGMENTS_JOINED].map(Joining::of).map(|joining| {
        let (in_flight, span) = (config.concurrency, config.exchange_span);
        side_by_side(
            &mut server,
            &mut client,
            |end, stop| end.run_until(exchange::BATCH, &mut Server { route: &back, joining }, stop),
            |end| exchange::open_and_close(end, &there, joining, in_flight, span),
        )
    });
    let mut drops = testbed.drops().since(&before);
    drops.sockets = server.statistics().rx_dropped + client.statistics().rx_dropped;
    let attachment = client.description();
    Ok(Measurement { echoes: echoes.into(), exchange, joined, drops, attachment })
}

/// Runs the server's closure on a second thread for as long as the client's closure runs.
fn side_by_side<T: Send>(
    server: &mut Endpoint,
    client: &mut Endpoint,
    serve: impl FnOnce(&mut Endpoint, &AtomicBool) + Send,
    run_client: impl FnOnce(&mut Endpoint) -> T + Send,
) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| serve(server, &stop));
        let result = scope.spawn(|| run_client(client)).join();
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
