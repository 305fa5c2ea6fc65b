//! A stateless exchange of the segments of a connection's open and close.
//!
//! Each segment is answered by a rule that looks at its flags and nothing else; every sum is verified and
//! computed, and the options are those of real segments. A stack has more to do for each segment, so over
//! the same link it can beat this only by sending fewer of them, or fewer batches.
//!
//! ```text
//! SYN →   ← SYN-ACK   ACK →   FIN-ACK →   ← ACK   ← FIN-ACK   ACK →       seven segments
//! ```
//!
//! A stack may join segments: the server's ACK with its FIN (six), the client's too (five).

use linerate::link::Frame;
use linerate::time::{Duration, Instant};
use linerate::wire::tcp::flag::{ACK, FIN, SYN};

use super::echo::MISSED_AFTER;
use super::end::{End, Responder, Turn};
use super::segment::{Route, Seen, header, read};

/// The port of the first connection; as many follow as are in flight.
const FIRST_PORT: u16 = 1024;

/// The port that is opened.
const SERVER_PORT: u16 = 9;

/// Frames of a turn, as the stack takes them by default.
pub const BATCH: usize = 64;

/// Which segments are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    server: bool,
    client: bool,
}

impl Joining {
    /// For so many segments a connection: seven, six with the server's joined, five with both ends'.
    pub const fn of(segments: u8) -> Self {
        Self { server: segments < 7, client: segments < 6 }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Connections opened and closed.
    pub connections: u64,
    /// In this time.
    pub span: Duration,
    /// Exchanges that a lost segment broke off.
    pub lost: u64,
}

impl Exchanged {
    /// Connections a second.
    pub fn per_second(&self) -> f64 {
        self.connections as f64 / self.span.as_secs_f64()
    }
}

/// What to send for a segment: up to two, as (seq, ack, flags).
type Answers = [Option<(u32, u32, u16)>; 2];

/// RFC 9293 figures 6 and 12, on the side that is opened and closed second.
#[inline]
fn server_answers(seen: &Seen, joining: Joining) -> Answers {
    match seen.flags & (SYN | FIN | ACK) {
        // The initial sequence number must come from somewhere: from the segment.
        SYN => [Some((!seen.seq, seen.seq.wrapping_add(1), SYN | ACK)), None],
        flags if flags & FIN != 0 => {
            let fin = (seen.ack, seen.seq.wrapping_add(1), FIN | ACK);
            let ack = (fin.0, fin.1, ACK);
            if joining.server { [Some(fin), None] } else { [Some(ack), Some(fin)] }
        }
        _ => [None, None],
    }
}

/// The other side.
#[inline]
fn client_answers(seen: &Seen, joining: Joining) -> Answers {
    match seen.flags & (SYN | FIN | ACK) {
        flags if flags == SYN | ACK => {
            let fin = (seen.ack, seen.seq.wrapping_add(1), FIN | ACK);
            let ack = (fin.0, fin.1, ACK);
            if joining.client { [Some(fin), None] } else { [Some(ack), Some(fin)] }
        }
        flags if flags & FIN != 0 => [Some((seen.ack, seen.seq.wrapping_add(1), ACK)), None],
        _ => [None, None],
    }
}

/// Sends the answers, the first one in the frame that asked.
#[inline]
fn answer(turn: &mut Turn<'_>, frame: Frame, seen: &Seen, answers: Answers, route: &Route) {
    let mut spare = Some(frame);
    for (seq, ack, flags) in answers.into_iter().flatten() {
        // Without a free frame the segment is as good as lost.
        let Some(mut frame) = spare.take().or_else(|| turn.reserve()) else { return };
        route.write(&mut frame, &header(seen, seq, ack, flags), &[]);
        turn.send(frame);
    }
    if let Some(unused) = spare {
        turn.release(unused);
    }
}

/// The opened side. It keeps nothing.
pub struct Server<'a> {
    /// To the client.
    pub route: &'a Route,
    /// Which segments are joined.
    pub joining: Joining,
}

impl Responder for Server<'_> {
    #[inline]
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        let Some(seen) = read(&frame) else { return turn.release(frame) };
        answer(turn, frame, &seen, server_answers(&seen, self.joining), self.route);
    }
}

/// Keeps `concurrency` connections opening and closing for `span`.
pub fn open_and_close(
    end: &mut End,
    route: &Route,
    joining: Joining,
    concurrency: u16,
    span: Duration,
) -> Exchanged {
    let heard_at = vec![Instant::ZERO; usize::from(concurrency)];
    let mut client = Client { route, joining, heard_at, completed: 0, lost: 0 };
    let span = end.ask(BATCH, &mut client, span);
    // The first look found none of them open.
    let lost = client.lost.saturating_sub(u64::from(concurrency));
    Exchanged { connections: client.completed, span, lost }
}

/// The opening side. When it last heard of each connection is all it keeps, to notice lost segments.
struct Client<'a> {
    route: &'a Route,
    joining: Joining,
    heard_at: Vec<Instant>,
    completed: u64,
    lost: u64,
}

impl Responder for Client<'_> {
    #[inline]
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        let Some(seen) = read(&frame) else { return turn.release(frame) };
        let place = usize::from(seen.dst_port.wrapping_sub(FIRST_PORT));
        let Some(heard_at) = self.heard_at.get_mut(place) else { return turn.release(frame) };
        *heard_at = turn.now;
        let answers = client_answers(&seen, self.joining);
        answer(turn, frame, &seen, answers, self.route);
        if seen.flags & FIN != 0 {
            self.completed += 1;
            self.open(turn, seen.dst_port, seen.ack);
        }
    }

    /// Opens what has been silent for too long; at first, that is all of them.
    fn look(&mut self, turn: &mut Turn<'_>) {
        for place in 0..self.heard_at.len() {
            if turn.now.since(self.heard_at[place]) > MISSED_AFTER {
                self.heard_at[place] = turn.now;
                self.lost += 1;
                self.open(turn, FIRST_PORT + place as u16, 1);
            }
        }
    }
}

impl Client<'_> {
    /// A SYN; its sequence number need only differ from the last.
    #[inline]
    fn open(&self, turn: &mut Turn<'_>, port: u16, seq: u32) {
        let Some(mut frame) = turn.reserve() else { return };
        let to =
            Seen { src_port: SERVER_PORT, dst_port: port, seq: 0, ack: 0, flags: 0, timestamp: 0 };
        let header = header(&to, seq.wrapping_add(64_000), 0, SYN);
        self.route.write(&mut frame, &header, &[]);
        turn.send(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seq: u32, ack: u32, flags: u16) -> Seen {
        Seen { src_port: SERVER_PORT, dst_port: FIRST_PORT, seq, ack, flags, timestamp: 0 }
    }

    /// The flags of all segments of a connection, in order, by the rules of both ends.
    fn conversation(joining: Joining) -> Vec<u16> {
        let mut said = vec![(7, 0, SYN)];
        let mut to_server = vec![true];
        let mut next = 0;
        while let Some(&(seq, ack, flags)) = said.get(next) {
            let answers = if to_server[next] {
                server_answers(&seen(seq, ack, flags), joining)
            } else {
                client_answers(&seen(seq, ack, flags), joining)
            };
            let towards = !to_server[next];
            for segment in answers.into_iter().flatten() {
                said.push(segment);
                to_server.push(towards);
            }
            next += 1;
        }
        said.into_iter().map(|(_, _, flags)| flags).collect()
    }

    #[test]
    fn an_open_and_close_takes_seven_segments_unless_they_are_joined() {
        let (fin, syn) = (FIN | ACK, SYN | ACK);
        assert_eq!(conversation(Joining::of(7)), [SYN, syn, ACK, fin, ACK, fin, ACK]);
        assert_eq!(conversation(Joining::of(6)), [SYN, syn, ACK, fin, fin, ACK]);
        assert_eq!(conversation(Joining::of(5)), [SYN, syn, fin, fin, ACK]);
    }
}
