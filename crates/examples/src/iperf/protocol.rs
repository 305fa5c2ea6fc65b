//! iperf3's protocol on the control connection: one byte for a state, JSON after its length
//! (`iperf_api.h` and `iperf_api.c` of esnet/iperf).

use std::io::{Error, ErrorKind, Result};

use linerate::net::TcpStream;
use serde_json::{Value, json};

/// Bytes of a cookie, its NUL included. Each connection of a test opens with it.
pub(super) const COOKIE: usize = 37;

/// Longest JSON accepted, bytes. The results of 128 streams take about 20 kB.
const JSON_MAX: usize = 256 << 10;

/// Most streams in each direction, iperf3's MAX_STREAMS.
const STREAMS_MAX: u64 = 128;

/// Largest block, bytes, iperf3's MAX_BLOCKSIZE.
const BLOCK_MAX: u64 = 1 << 20;

/// A state of a test. The numbers are iperf3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum State {
    TestStart = 1,
    TestRunning = 2,
    TestEnd = 4,
    ParamExchange = 9,
    CreateStreams = 10,
    ServerTerminate = 11,
    ClientTerminate = 12,
    ExchangeResults = 13,
    DisplayResults = 14,
    IperfDone = 16,
    AccessDenied = -1,
    ServerError = -2,
}

impl State {
    /// The states that a client sends.
    const OF_CLIENTS: [Self; 3] = [Self::TestEnd, Self::ClientTerminate, Self::IperfDone];

    /// Sends the state.
    pub(super) async fn send(self, control: &mut TcpStream) -> Result<()> {
        control.write_all(&(self as i8).to_be_bytes()).await
    }

    /// Receives a state.
    pub(super) async fn receive(control: &mut TcpStream) -> Result<Self> {
        let mut byte = [0];
        control.read_exact(&mut byte).await?;
        let number = i8::from_be_bytes(byte);
        let known = Self::OF_CLIENTS.into_iter().find(|state| *state as i8 == number);
        known.ok_or_else(|| invalid(format!("state {number} from the client")))
    }
}

/// Sends JSON after its length.
pub(super) async fn send_json(control: &mut TcpStream, value: &Value) -> Result<()> {
    let text = value.to_string();
    let mut message = (text.len() as u32).to_be_bytes().to_vec();
    message.extend_from_slice(text.as_bytes());
    control.write_all(&message).await
}

/// Receives JSON after its length.
pub(super) async fn receive_json(control: &mut TcpStream) -> Result<Value> {
    let mut length = [0; 4];
    control.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > JSON_MAX {
        return Err(invalid(format!("JSON of {length} bytes")));
    }
    let mut text = vec![0; length];
    control.read_exact(&mut text).await?;
    serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))
}

/// Sends an error as iperf3's server does: its number, and that of the system.
pub(super) async fn send_error(control: &mut TcpStream, number: u32) -> Result<()> {
    State::ServerError.send(control).await?;
    control.write_all(&number.to_be_bytes()).await?;
    control.write_all(&0_u32.to_be_bytes()).await
}

/// iperf3's number for an option that is not implemented (IEUNIMP).
pub(super) const NOT_IMPLEMENTED: u32 = 13;

/// The directions in which data flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
    Both,
}

/// The parameters of a test, from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub direction: Direction,
    /// Streams in each direction.
    pub parallel: usize,
    /// Bytes written at once.
    pub block: usize,
    /// Bytes that all streams to the client send together; `None` sends until the test ends.
    pub bytes: Option<u64>,
    /// Seconds at the start that the results leave out.
    pub omit_s: u64,
}

impl Parameters {
    /// Parses the client's parameters. Returns `None` for what this server does not do: UDP, SCTP.
    pub(super) fn parse(value: &Value) -> Option<Self> {
        let flag = |name: &str| value[name].as_bool().unwrap_or(false);
        // A count of zero means no limit.
        let number = |name: &str| value[name].as_u64().filter(|n| *n > 0);
        if !flag("tcp") {
            return None;
        }
        let direction = match (flag("bidirectional"), flag("reverse")) {
            (true, _) => Direction::Both,
            (false, true) => Direction::ToClient,
            (false, false) => Direction::ToServer,
        };
        let block = number("len").unwrap_or(128 << 10).min(BLOCK_MAX);
        let blocks = number("blockcount").map(|blocks| blocks.saturating_mul(block));
        Some(Self {
            direction,
            parallel: number("parallel").unwrap_or(1).min(STREAMS_MAX) as usize,
            block: block as usize,
            bytes: number("num").or(blocks),
            omit_s: number("omit").unwrap_or(0),
        })
    }
}

/// The result of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamResult {
    pub bytes: u64,
    /// Retransmitted segments of a stream to the client.
    pub retransmits: Option<u32>,
    pub seconds: f64,
}

/// iperf3's numbers of streams: 1, 3, 4, 5 and so on.
pub(super) fn stream_id(index: usize) -> u64 {
    if index == 0 { 1 } else { index as u64 + 2 }
}

/// Returns the server's results as JSON. A worker polls and keeps its core busy, so the processor
/// time says nothing and is zero.
pub(super) fn results_json(results: &[StreamResult]) -> Value {
    let stream = |(index, result): (usize, &StreamResult)| {
        json!({
            "id": stream_id(index),
            "bytes": result.bytes,
            "retransmits": result.retransmits.map_or(-1, i64::from),
            "jitter": 0, "errors": 0, "omitted_errors": 0, "packets": 0, "omitted_packets": 0,
            "start_time": 0,
            "end_time": result.seconds,
        })
    };
    let streams: Vec<Value> = results.iter().enumerate().map(stream).collect();
    let sends = results.iter().any(|result| result.retransmits.is_some());
    json!({
        "cpu_util_total": 0, "cpu_util_user": 0, "cpu_util_system": 0,
        "sender_has_retransmits": if sends { 1 } else { -1 },
        "streams": streams,
    })
}

/// Returns the bytes of a stream in the client's results.
pub(super) fn bytes_of(results: &Value, index: usize) -> Option<u64> {
    let streams = results["streams"].as_array()?;
    let stream = streams.iter().find(|stream| stream["id"] == stream_id(index))?;
    stream["bytes"].as_u64()
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not iperf3's protocol: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_client_are_parsed_and_bounded() {
        let value = json!({
            "tcp": true, "omit": 0, "time": 0, "num": 0, "blockcount": 10, "parallel": 1000,
            "reverse": true, "len": 131_072,
        });
        let expected = Parameters {
            direction: Direction::ToClient,
            parallel: 128,
            block: 131_072,
            bytes: Some(1_310_720),
            omit_s: 0,
        };
        assert_eq!(Parameters::parse(&value), Some(expected));
        assert_eq!(Parameters::parse(&json!({ "udp": true })), None);
    }

    #[test]
    fn streams_are_found_by_their_odd_numbers() {
        let results = json!({ "streams": [{ "id": 1, "bytes": 10 }, { "id": 3, "bytes": 30 }] });
        assert_eq!([0, 1, 2].map(|n| bytes_of(&results, n)), [Some(10), Some(30), None]);
    }
}
