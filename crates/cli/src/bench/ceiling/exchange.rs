//! A stateless exchange of the segments that open and close a connection.
//!
//! The reply to a segment depends only on its flags. Every checksum is verified and computed, and
//! the options are those of real segments. A stack does more work per segment, so over the same
//! link it can exceed this rate only with fewer segments or fewer batches.
//!
//! ```text
//! SYN →   ← SYN-ACK   ACK →   FIN-ACK →   ← ACK   ← FIN-ACK   ACK →       seven segments
//! ```
//!
//! A stack may join segments: the server's ACK with its FIN (six segments), the client's too
//! (five).

use linerate::link::Frame;
use linerate::time::{Duration, Instant};
use linerate::wire::tcp::flag::{ACK, FIN, SYN};

use super::echo::LOSS_TIMEOUT;
use super::endpoint::{Endpoint, Responder, Turn};
use super::segment::{Route, Segment, header, read};

/// Client port of the first connection. The other connections in flight use the following ports.
const FIRST_PORT: u16 = 1024;

/// Server port.
const SERVER_PORT: u16 = 9;

/// Frames per turn: the default of the stack.
pub(super) const BATCH: usize = 64;

/// Selects the ends that join their FIN with an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    server: bool,
    client: bool,
}

impl Joining {
    /// Returns the setting for a number of segments per connection: seven without joining, six if
    /// the server joins, five if both ends join.
    pub(super) const fn of(segments: u8) -> Self {
        Self { server: segments < 7, client: segments < 6 }
    }
}

/// Result of an exchange measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeResult {
    /// Connections opened and closed.
    pub connections: u64,
    /// Length of the measurement.
    pub span: Duration,
    /// Connections abandoned because a segment was lost.
    pub lost: u64,
}

impl ExchangeResult {
    /// Returns the connections per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.connections as f64 / self.span.as_secs_f64()
    }
}

/// Replies to a segment: up to two, as (seq, ack, flags).
type Replies = [Option<(u32, u32, u16)>; 2];

/// Returns the server's replies: RFC 9293 figures 6 and 12, passive open and passive close.
#[inline]
fn server_replies(segment: &Segment, joining: Joining) -> Replies {
    match segment.flags & (SYN | FIN | ACK) {
        // The server is stateless, so it derives its initial sequence number from the SYN.
        SYN => [Some((!segment.seq, segment.seq.wrapping_add(1), SYN | ACK)), None],
        flags if flags & FIN != 0 => {
            let fin = (segment.ack, segment.seq.wrapping_add(1), FIN | ACK);
            let ack = (fin.0, fin.1, ACK);
            if joining.server { [Some(fin), None] } else { [Some(ack), Some(fin)] }
        }
        _ => [None, None],
    }
}

/// Returns the client's replies: active open and active close.
#[inline]
fn client_replies(segment: &Segment, joining: Joining) -> Replies {
    match segment.flags & (SYN | FIN | ACK) {
        flags if flags == SYN | ACK => {
            let fin = (segment.ack, segment.seq.wrapping_add(1), FIN | ACK);
            let ack = (fin.0, fin.1, ACK);
            if joining.client { [Some(fin), None] } else { [Some(ack), Some(fin)] }
        }
        flags if flags & FIN != 0 => [Some((segment.ack, segment.seq.wrapping_add(1), ACK)), None],
        _ => [None, None],
    }
}

/// Sends the replies, the first one in the frame of the received segment.
#[inline]
fn reply(turn: &mut Turn<'_>, frame: Frame, segment: &Segment, replies: Replies, route: &Route) {
    let mut spare = Some(frame);
    for (seq, ack, flags) in replies.into_iter().flatten() {
        // Without a free frame the reply is dropped, and the client detects the loss.
        let Some(mut frame) = spare.take().or_else(|| turn.reserve()) else { return };
        route.write(&mut frame, &header(segment, seq, ack, flags), &[]);
        turn.send(frame);
    }
    if let Some(unused) = spare {
        turn.release(unused);
    }
}

/// The server: stateless.
pub(super) struct Server<'a> {
    /// Route to the client.
    pub route: &'a Route,
    /// Ends that join their FIN with an ACK.
    pub joining: Joining,
}

impl Responder for Server<'_> {
    #[inline]
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        let Some(segment) = read(&frame) else { return turn.release(frame) };
        reply(turn, frame, &segment, server_replies(&segment, self.joining), self.route);
    }
}

/// Opens and closes connections for `span`, with `concurrency` of them in flight.
pub(super) fn open_and_close(
    end: &mut Endpoint,
    route: &Route,
    joining: Joining,
    concurrency: u16,
    span: Duration,
) -> ExchangeResult {
    let last_rx_at = vec![Instant::ZERO; usize::from(concurrency)];
    let mut client = Client { route, joining, last_rx_at, completed: 0, lost: 0 };
    let span = end.run_for(BATCH, &mut client, span);
    // The first look found none of them open.
    let lost = client.lost.saturating_sub(u64::from(concurrency));
    ExchangeResult { connections: client.completed, span, lost }
}

/// The client. Its only state per connection is the time of the last received segment, to detect
/// losses.
struct Client<'a> {
    route: &'a Route,
    joining: Joining,
    last_rx_at: Vec<Instant>,
    completed: u64,
    lost: u64,
}

impl Responder for Client<'_> {
    #[inline]
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        let Some(segment) = read(&frame) else { return turn.release(frame) };
        let slot = usize::from(segment.dst_port.wrapping_sub(FIRST_PORT));
        let Some(last_rx_at) = self.last_rx_at.get_mut(slot) else { return turn.release(frame) };
        *last_rx_at = turn.now;
        let replies = client_replies(&segment, self.joining);
        reply(turn, frame, &segment, replies, self.route);
        if segment.flags & FIN != 0 {
            self.completed += 1;
            self.open(turn, segment.dst_port, segment.ack);
        }
    }

    /// Reopens connections that have received nothing for too long; the first call opens all of
    /// them.
    fn check_timeouts(&mut self, turn: &mut Turn<'_>) {
        for slot in 0..self.last_rx_at.len() {
            if turn.now.since(self.last_rx_at[slot]) > LOSS_TIMEOUT {
                self.last_rx_at[slot] = turn.now;
                self.lost += 1;
                self.open(turn, FIRST_PORT + slot as u16, 1);
            }
        }
    }
}

impl Client<'_> {
    /// Sends a SYN. Its sequence number only has to differ from the previous one.
    #[inline]
    fn open(&self, turn: &mut Turn<'_>, port: u16, seq: u32) {
        let Some(mut frame) = turn.reserve() else { return };
        let to = Segment {
            src_port: SERVER_PORT,
            dst_port: port,
            seq: 0,
            ack: 0,
            flags: 0,
            timestamp: 0,
        };
        let header = header(&to, seq.wrapping_add(64_000), 0, SYN);
        self.route.write(&mut frame, &header, &[]);
        turn.send(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u32, ack: u32, flags: u16) -> Segment {
        Segment { src_port: SERVER_PORT, dst_port: FIRST_PORT, seq, ack, flags, timestamp: 0 }
    }

    /// Returns the flags of all segments of a connection, in order.
    fn flags_of_exchange(joining: Joining) -> Vec<u16> {
        let mut segments = vec![(7, 0, SYN)];
        let mut to_server = vec![true];
        let mut next = 0;
        while let Some(&(seq, ack, flags)) = segments.get(next) {
            let replies = if to_server[next] {
                server_replies(&segment(seq, ack, flags), joining)
            } else {
                client_replies(&segment(seq, ack, flags), joining)
            };
            let towards = !to_server[next];
            for segment in replies.into_iter().flatten() {
                segments.push(segment);
                to_server.push(towards);
            }
            next += 1;
        }
        segments.into_iter().map(|(_, _, flags)| flags).collect()
    }

    #[test]
    fn open_and_close_takes_seven_segments_or_fewer_when_joined() {
        let (fin, syn) = (FIN | ACK, SYN | ACK);
        assert_eq!(flags_of_exchange(Joining::of(7)), [SYN, syn, ACK, fin, ACK, fin, ACK]);
        assert_eq!(flags_of_exchange(Joining::of(6)), [SYN, syn, ACK, fin, fin, ACK]);
        assert_eq!(flags_of_exchange(Joining::of(5)), [SYN, syn, fin, fin, ACK]);
    }
}
