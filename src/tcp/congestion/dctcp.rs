//! DCTCP (RFC 8257): reduces the window in proportion to the marks of the path. For networks whose
//! switches mark at a shallow threshold and whose hosts all use DCTCP; beside other algorithms it
//! starves or is starved.
//!
//! Owns alpha, the fraction of marked bytes. Refuses to know the marking feedback: each ACK says
//! how many of its bytes were marked.

use super::facts::Ack;
use super::window::{Growth, Undo, Window};
use crate::tcp::SeqNum;

/// g of RFC 8257 §4.2, the gain of alpha. With a larger gain one burst dominates it; with a smaller
/// one it lags.
const GAIN: f64 = 1.0 / 16.0;

/// State of the algorithm beside the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Dctcp {
    /// Allocated with the first ACK.
    marks: Option<Box<Marks>>,
}

#[derive(Clone, Debug)]
struct Marks {
    /// DCTCP.Alpha.
    alpha: f64,
    /// DCTCP.WindowEnd: the end of the observation window; none before the first ACK.
    window_end: Option<SeqNum>,
    /// DCTCP.BytesAcked.
    bytes_acked: u64,
    /// DCTCP.BytesMarked.
    bytes_marked: u64,
    /// This window of data has already reduced cwnd.
    reduced: bool,
    /// Bytes acknowledged since cwnd last grew in congestion avoidance.
    credit: u32,
    undo: Option<Undo>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            // RFC 8257 §4.2: "the initial value of DCTCP.Alpha SHOULD be 1": the first mark counts
            // like a loss.
            alpha: 1.0,
            window_end: None,
            bytes_acked: 0,
            bytes_marked: 0,
            reduced: false,
            credit: 0,
            undo: None,
        }
    }
}

impl Dctcp {
    fn marks(&mut self) -> &mut Marks {
        self.marks.get_or_insert_default()
    }

    pub(super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        self.marks().count(ack);
        if ack.ce > 0 {
            self.on_mark(window);
        }
        match window.on_ack(ack) {
            Growth::SlowStart => window.grow(window.slow_start_growth(ack)),
            Growth::Avoidance => self.avoid_congestion(window, ack.growth()),
            Growth::Done | Growth::Unused => {}
        }
    }

    /// RFC 5681 §3.1, unchanged by RFC 8257 §3.3: one SMSS for each cwnd of acknowledged bytes.
    fn avoid_congestion(&mut self, window: &mut Window, acked: u32) {
        let marks = self.marks();
        marks.credit = marks.credit.saturating_add(acked);
        if marks.credit >= window.cwnd() {
            marks.credit -= window.cwnd();
            window.grow(window.smss());
        }
    }

    /// RFC 8257 §3.3:
    ///   > cwnd = cwnd * (1 - DCTCP.Alpha / 2)
    ///   > Just as specified in [RFC3168], DCTCP does not react to congestion indications more than
    ///   > once for every window of data.
    pub(super) fn on_mark(&mut self, window: &mut Window) {
        if self.marks().reduced {
            return;
        }
        self.marks().reduced = true;
        self.marks().credit = 0;
        self.marks().undo = None;
        let left = f64::from(window.cwnd()) * (1.0 - self.marks().alpha / 2.0);
        window.on_echo(left as u32);
    }

    /// RFC 8257 §3.5:
    ///   > A DCTCP sender MUST react to loss episodes in the same way as conventional TCP,
    ///   > including fast retransmit and fast recovery algorithms, as specified in [RFC5681].
    pub(super) fn ssthresh_after_loss(&mut self, window: &mut Window, in_flight: u32) -> u32 {
        self.marks().undo = Some(window.before_reduction());
        self.marks().credit = 0;
        // The loss is this window's reduction; marks of the same queue cause no second one.
        self.marks().reduced = true;
        in_flight / 2
    }

    pub(super) fn on_undo(&mut self, window: &mut Window) {
        if let Some(undo) = self.marks().undo.take() {
            window.on_undo(undo);
        }
    }

    pub(super) fn on_idle(&mut self, window: &mut Window) {
        window.on_idle();
        self.marks().credit = 0;
    }
}

impl Marks {
    /// RFC 8257 §3.3: alpha is updated once per observation window, about one round trip.
    fn count(&mut self, ack: &Ack) {
        let end = *self.window_end.get_or_insert(ack.snd_nxt);
        self.bytes_acked += u64::from(ack.delivered.max(ack.bytes));
        self.bytes_marked += u64::from(ack.ce);
        // > If the sequence number being acknowledged (SEG.ACK) is less than or equal to
        // > DCTCP.WindowEnd, stop processing.
        if !ack.snd_una.after(end) || self.bytes_acked == 0 {
            return;
        }
        // > M = DCTCP.BytesMarked / DCTCP.BytesAcked
        // > DCTCP.Alpha = DCTCP.Alpha * (1 - g) + g * M
        let marked = (self.bytes_marked as f64 / self.bytes_acked as f64).min(1.0);
        self.alpha = self.alpha * (1.0 - GAIN) + GAIN * marked;
        self.window_end = Some(ack.snd_nxt);
        self.bytes_acked = 0;
        self.bytes_marked = 0;
        self.reduced = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::congestion::controller::Kind;
    use crate::tcp::congestion::{Algorithm, Controller, model};
    use crate::time::Instant;

    const MSS: u32 = 1000;

    /// A path that marks a given number of segments.
    struct Path {
        c: Controller,
        una: SeqNum,
        nxt: SeqNum,
    }

    impl Path {
        fn new() -> Self {
            let c = Controller::new(Algorithm::Dctcp, MSS as u16, 10);
            Self { c, una: SeqNum(0), nxt: SeqNum(10 * MSS) }
        }

        /// Acknowledges one window of data, its first `marked` segments CE-marked.
        fn round(&mut self, marked: u32) {
            let segments = self.nxt.distance_from(self.una) / MSS;
            for n in 0..segments {
                let in_flight = self.nxt.distance_from(self.una);
                self.una += MSS;
                let ce = if n < marked { MSS } else { 0 };
                let ack = model::ack(MSS, in_flight, None, Instant::ZERO);
                self.c.on_ack(&Ack { ce, snd_una: self.una, snd_nxt: self.nxt, ..ack });
                self.nxt = self.nxt.latest(self.una + self.c.cwnd());
            }
        }

        fn alpha(&self) -> f64 {
            let Kind::Dctcp(_, c) = &self.c.0 else { panic!("the algorithm is DCTCP") };
            c.marks.as_ref().map_or(1.0, |marks| marks.alpha)
        }
    }

    #[test]
    fn alpha_starts_at_one_and_decays_by_a_sixteenth_per_unmarked_window() {
        // RFC 8257 §3.3, §4.2
        let mut path = Path::new();
        assert_eq!(path.alpha(), 1.0);
        for _ in 0..60 {
            path.round(0);
            if path.c.cwnd() > 200_000 {
                path.c.on_enter_recovery(20_000, SeqNum(0), Instant::ZERO);
                path.c.on_exit_recovery(20_000, Instant::ZERO);
            }
        }
        assert!(path.alpha() < 0.1, "{}", path.alpha());
    }

    #[test]
    fn alpha_averages_the_fraction_of_marked_bytes_with_gain_one_sixteenth() {
        let window_end = Some(SeqNum(1000));
        let mut marks = Marks { alpha: 0.5, window_end, reduced: true, ..Marks::default() };
        let ack = model::ack(1000, 4000, None, Instant::ZERO);
        marks.count(&Ack { snd_una: SeqNum(1000), snd_nxt: SeqNum(5000), ce: 1000, ..ack });
        assert_eq!(marks.alpha, 0.5, "SEG.ACK is not past WindowEnd");
        marks.count(&Ack { snd_una: SeqNum(2000), snd_nxt: SeqNum(6000), ..ack });
        assert!((marks.alpha - (0.5 * 15.0 / 16.0 + 0.5 / 16.0)).abs() < 1e-12);
        assert_eq!((marks.window_end, marks.reduced), (Some(SeqNum(6000)), false));
    }

    #[test]
    fn only_the_first_mark_of_a_window_reduces_cwnd() {
        // RFC 8257 §3.3: cwnd * (1 - Alpha / 2), once per window
        let mut path = Path::new();
        let ack = model::ack(MSS, 10_000, None, Instant::ZERO);
        for n in 1..=5 {
            let una = SeqNum(n * MSS);
            path.c.on_ack(&Ack { ce: MSS, snd_una: una, snd_nxt: SeqNum(10_000), ..ack });
            assert_eq!((path.c.cwnd(), path.c.ssthresh()), (5_000, 5_000), "{n}");
        }
        path.c.on_congestion_echo(10_000, Instant::ZERO);
        assert_eq!(path.c.cwnd(), 5_000);
    }

    #[test]
    fn few_marks_reduce_the_window_slightly() {
        let mut path = Path::new();
        path.round(1);
        (0..100).for_each(|_| path.round(0));
        assert!(path.alpha() < 0.01, "{}", path.alpha());
        let before = path.c.cwnd();
        path.round(1);
        assert!(path.c.cwnd() > before - 2 * MSS, "{before} {}", path.c.cwnd());
    }

    #[test]
    fn a_loss_halves_the_window_as_in_conventional_tcp() {
        // RFC 8257 §3.5
        let mut path = Path::new();
        path.c.on_enter_recovery(10_000, SeqNum(10_000), Instant::ZERO);
        assert_eq!((path.c.cwnd(), path.c.ssthresh()), (5_000, 5_000));
        path.c.on_congestion_echo(10_000, Instant::ZERO);
        assert_eq!(path.c.cwnd(), 5_000, "marks of the same window reduce nothing more");
        path.c.on_undo();
        assert_eq!(path.c.cwnd(), 10_000);
        path.c.on_timeout(10_000, Instant::ZERO);
        assert_eq!((path.c.cwnd(), path.c.ssthresh()), (MSS, 5_000));
    }
}
