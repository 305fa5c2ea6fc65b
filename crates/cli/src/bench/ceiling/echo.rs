//! Raw echo: frames of 64 bytes there and back, as many in flight as the batch is large.
//!
//! A frame carries the number of its place in the window and nothing that needs a sum. A frame that the
//! device lost is missed after a while, counted, and its place filled again, so that the window never
//! shrinks.

use linerate::link::Frame;
use linerate::time::{Duration, Instant};
use linerate::wire::tcp;

use super::end::{End, Responder, Turn};
use super::segment::Route;
use crate::load::{Latencies, latencies, record};

/// What the field calls minimum-size, without the frame check sequence that no socket sees.
const FRAME_LEN: usize = 64;

/// Headers of Ethernet, IPv4 and TCP; behind them the place in the window, two bytes.
const HEADERS_LEN: usize = 14 + 20 + 20;

/// A round trip takes microseconds; a core that the host or its scheduler takes away, up to a tenth of a
/// second. A frame missed too early would be in flight twice.
pub const MISSED_AFTER: Duration = Duration::from_millis(200);

/// What came of it.
pub struct Echoed {
    /// Round trips.
    pub round_trips: u64,
    /// In this time.
    pub span: Duration,
    /// From the turn that sent a frame to the turn that received it.
    pub latencies: Latencies,
    /// Frames that never came back.
    pub lost: u64,
}

/// Sends every frame back where it came from.
pub struct Mirror;

impl Responder for Mirror {
    #[inline]
    fn on_frame(&mut self, turn: &mut Turn<'_>, mut frame: Frame) {
        if frame.len() == FRAME_LEN {
            swap(&mut frame);
            turn.send(frame);
        } else {
            turn.release(frame);
        }
    }
}

/// Exchanges the two Ethernet addresses and the two IPv4 addresses; sums do not change by that.
#[inline]
fn swap(frame: &mut Frame) {
    let (macs, rest) = frame.split_at_mut(12);
    let (to, from) = macs.split_at_mut(6);
    to.swap_with_slice(from);
    let (src, dst) = rest[14..22].split_at_mut(4);
    src.swap_with_slice(dst);
}

/// Keeps `batch` frames in flight for `span`.
pub fn volley(end: &mut End, route: &Route, batch: usize, span: Duration) -> Echoed {
    let sent_at = vec![Instant::ZERO; batch];
    let mut window = Window { route, sent_at, latencies: latencies(), lost: 0, returned: 0 };
    let span = end.ask(batch, &mut window, span);
    let Window { latencies, lost, returned, .. } = window;
    // The first look found all places empty.
    Echoed { round_trips: returned, span, latencies, lost: lost.saturating_sub(batch as u64) }
}

/// The places in flight.
struct Window<'a> {
    route: &'a Route,
    sent_at: Vec<Instant>,
    latencies: Latencies,
    returned: u64,
    lost: u64,
}

impl Responder for Window<'_> {
    #[inline]
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        let place = frame
            .get(HEADERS_LEN..HEADERS_LEN + 2)
            .map_or(usize::MAX, |bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
        match self.sent_at.get_mut(place) {
            Some(sent_at) if frame.len() == FRAME_LEN => {
                record(&mut self.latencies, turn.now.since(*sent_at));
                *sent_at = turn.now;
                self.returned += 1;
                send(turn, frame, place, self.route);
            }
            _ => turn.release(frame),
        }
    }

    /// Sends anew what has been away for too long.
    fn look(&mut self, turn: &mut Turn<'_>) {
        for (place, sent_at) in self.sent_at.iter_mut().enumerate() {
            if turn.now.since(*sent_at) > MISSED_AFTER {
                let Some(frame) = turn.reserve() else { return };
                *sent_at = turn.now;
                self.lost += 1;
                send(turn, frame, place, self.route);
            }
        }
    }
}

#[inline]
fn send(turn: &mut Turn<'_>, mut frame: Frame, place: usize, route: &Route) {
    let header = tcp::HeaderOut { src_port: 7, dst_port: 7, ..tcp::HeaderOut::default() };
    let mut payload = [0; FRAME_LEN - HEADERS_LEN];
    payload[..2].copy_from_slice(&(place as u16).to_be_bytes());
    route.write(&mut frame, &header, &payload);
    turn.send(frame);
}
