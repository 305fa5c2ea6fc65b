//! A test, state by state, as seen from its control connection.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use linerate::Instant;
use linerate::net::{JoinHandle, TcpStream, now, sleep, spawn, timeout};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

use super::protocol::{
    Direction, NOT_IMPLEMENTED, Parameters, State, StreamResult, bytes_of, receive_json,
    results_json, send_error, send_json,
};
use super::stream::{Budget, Tally, receive, send};
use crate::launch::Outcome;

/// The longest time for the next step of a client, outside the test itself.
const STEP: Duration = Duration::from_secs(10);

/// The longest wait for data that the client has sent and that is still under way at the end.
const LAST_DATA: Duration = Duration::from_secs(2);

/// A running stream of the test.
struct Flow {
    tally: Rc<Tally>,
    sends: bool,
    task: JoinHandle<io::Result<()>>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a test whose client has sent its cookie on `control`. Its streams come by `streams`.
///
/// # Errors
/// When the client breaks the protocol, is too slow, or leaves.
pub(super) async fn run(control: &mut TcpStream, streams: &mut Receiver<TcpStream>) -> Outcome {
    State::ParamExchange.send(control).await?;
    let parameters = timeout(STEP, receive_json(control)).await??;
    let Some(parameters) = Parameters::parse(&parameters) else {
        send_error(control, NOT_IMPLEMENTED).await?;
        return Ok(());
    };
    State::CreateStreams.send(control).await?;
    let streams = timeout(STEP, collect(&parameters, streams)).await?;
    State::TestStart.send(control).await?;
    State::TestRunning.send(control).await?;
    let flows = start(&parameters, streams);
    let (started_at, end) = measure(control, &parameters, &flows).await?;
    if end != State::TestEnd {
        return Ok(());
    }
    let elapsed = now().since(started_at);
    for flow in flows.iter().filter(|flow| flow.sends) {
        flow.task.abort();
    }
    State::ExchangeResults.send(control).await?;
    let of_client = timeout(STEP, receive_json(control)).await??;
    // iperf3's own server does not wait: it misses what the client's kernel still holds.
    let _ = timeout(LAST_DATA, all_arrived(&flows, &of_client)).await;
    let result = |flow: &Flow| StreamResult {
        bytes: flow.tally.bytes(),
        retransmits: flow.sends.then(|| flow.tally.retransmits()),
        seconds: elapsed.as_secs_f64(),
    };
    send_json(control, &results_json(&flows.iter().map(result).collect::<Vec<_>>())).await?;
    State::DisplayResults.send(control).await?;
    timeout(STEP, State::receive(control)).await??;
    Ok(())
}

/// Waits for the connections of all streams.
async fn collect(parameters: &Parameters, streams: &mut Receiver<TcpStream>) -> Vec<TcpStream> {
    let directions = if parameters.direction == Direction::Both { 2 } else { 1 };
    let mut collected = Vec::new();
    while collected.len() < parameters.parallel * directions {
        match streams.recv().await {
            Some(stream) => collected.push(stream),
            None => break,
        }
    }
    collected
}

/// Starts a task for each stream. The client opens those to the server first.
fn start(parameters: &Parameters, streams: Vec<TcpStream>) -> Vec<Flow> {
    let budget = Rc::new(Budget::new(parameters.bytes));
    let start = |(index, stream): (usize, TcpStream)| {
        let sends = match parameters.direction {
            Direction::ToServer => false,
            Direction::ToClient => true,
            Direction::Both => index >= parameters.parallel,
        };
        let tally = Rc::new(Tally::default());
        let task = if sends {
            spawn(send(stream, parameters.block, Rc::clone(&budget), Rc::clone(&tally)))
        } else {
            spawn(receive(stream, Rc::clone(&tally)))
        };
        Flow { tally, sends, task }
    };
    streams.into_iter().enumerate().map(start).collect()
}

/// Waits for the end of the measurement. Returns its start, after what is omitted, and the state
/// with which the client ends it.
async fn measure(
    control: &mut TcpStream,
    parameters: &Parameters,
    flows: &[Flow],
) -> io::Result<(Instant, State)> {
    let started_at = now();
    let omitted = sleep(Duration::from_secs(parameters.omit_s));
    tokio::select! {
        biased;
        end = State::receive(control) => return Ok((started_at, end?)),
        () = omitted => {}
    }
    for flow in flows {
        flow.tally.omit();
    }
    Ok((now(), State::receive(control).await?))
}

/// Waits until all has arrived that the client has sent.
async fn all_arrived(flows: &[Flow], of_client: &Value) {
    for (index, flow) in flows.iter().enumerate().filter(|(_, flow)| !flow.sends) {
        let sent = bytes_of(of_client, index).unwrap_or(0);
        while flow.tally.bytes() < sent && !flow.task.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}
