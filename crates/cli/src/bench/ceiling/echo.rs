//! Raw echo of 64-byte frames, with as many frames in flight as the batch size.
//!
//! A frame carries the number of its slot in the window. A frame that the device drops is counted
//! as lost after a timeout and its slot is refilled, so that the window does not shrink.

use linerate::link::Frame;
use linerate::time::{Duration, Instant};
use linerate::wire::tcp;

use super::endpoint::{Endpoint, Responder, Turn};
use super::segment::Route;
use crate::load::{Latencies, latencies, record};

/// Frame length in bytes, without the FCS, which sockets do not see.
const FRAME_LEN: usize = 64;

/// Length of the Ethernet, IPv4 and TCP headers. The slot number follows, in two bytes.
const HEADERS_LEN: usize = 14 + 20 + 20;

/// Timeout after which a frame counts as lost. A round trip takes microseconds, but a core that the
/// hypervisor or the scheduler preempts can stall for up to a tenth of a second. With a shorter
/// timeout, a delayed frame would be in flight twice.
pub(super) const LOSS_TIMEOUT: Duration = Duration::from_millis(200);

/// Result of an echo measurement.
pub(crate) struct EchoResult {
    /// Completed round trips.
    pub round_trips: u64,
    /// Length of the measurement.
    pub span: Duration,
    /// Latency from the turn that sends a frame to the turn that receives it.
    pub latencies: Latencies,
    /// Lost frames.
    pub lost: u64,
}

/// Returns every frame to its sender.
pub(super) struct EchoResponder;

impl Responder for EchoResponder {
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

/// Swaps the Ethernet addresses and the IPv4 addresses. The checksums stay valid.
#[inline]
fn swap(frame: &mut Frame) {
    let (macs, rest) = frame.split_at_mut(12);
    let (to, from) = macs.split_at_mut(6);
    to.swap_with_slice(from);
    let (src, dst) = rest[14..22].split_at_mut(4);
    src.swap_with_slice(dst);
}

/// Keeps `batch` frames in flight for `span`.
pub(super) fn ping_pong(
    end: &mut Endpoint,
    route: &Route,
    batch: usize,
    span: Duration,
) -> EchoResult {
    let sent_at = vec![Instant::ZERO; batch];
    let mut window = Window { route, sent_at, latencies: latencies(), lost: 0, returned: 0 };
    let span = end.run_for(batch, &mut window, span);
    let Window { latencies, lost, returned, .. } = window;
    // The first check fills the empty window and counts every slot as lost.
    EchoResult { round_trips: returned, span, latencies, lost: lost.saturating_sub(batch as u64) }
}

/// The frames in flight.
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
        let slot = frame
            .get(HEADERS_LEN..HEADERS_LEN + 2)
            .map_or(usize::MAX, |bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
        match self.sent_at.get_mut(slot) {
            Some(sent_at) if frame.len() == FRAME_LEN => {
                record(&mut self.latencies, turn.now.since(*sent_at));
                *sent_at = turn.now;
                self.returned += 1;
                send(turn, frame, slot, self.route);
            }
            _ => turn.release(frame),
        }
    }

    /// Replaces frames that have been in flight for too long.
    fn check_timeouts(&mut self, turn: &mut Turn<'_>) {
        for (slot, sent_at) in self.sent_at.iter_mut().enumerate() {
            if turn.now.since(*sent_at) > LOSS_TIMEOUT {
                let Some(frame) = turn.reserve() else { return };
                *sent_at = turn.now;
                self.lost += 1;
                send(turn, frame, slot, self.route);
            }
        }
    }
}

#[inline]
fn send(turn: &mut Turn<'_>, mut frame: Frame, slot: usize, route: &Route) {
    let header = tcp::HeaderOut { src_port: 7, dst_port: 7, ..tcp::HeaderOut::default() };
    let mut payload = [0; FRAME_LEN - HEADERS_LEN];
    payload[..2].copy_from_slice(&(slot as u16).to_be_bytes());
    route.write(&mut frame, &header, &payload);
    turn.send(frame);
}
