//! Statistics that a connection reports about itself.

use crate::tcp::recovery::detect::Reordering;
use crate::tcp::scoreboard::Tally;
use crate::tcp::state::{Marks, Stage};
use crate::tcp::{Connection, Info, Loss, Repairs, Settings};
use crate::time::Duration;

impl Connection {
    /// Returns the connection's statistics.
    pub fn info(&self, settings: &Settings) -> Info {
        Info {
            phase: self.phase,
            cwnd: self.recovery.controller.cwnd(),
            ssthresh: self.recovery.controller.ssthresh(),
            congestion: self.recovery.controller.algorithm(),
            pacing_rate: self.pacing_rate(settings.pacing),
            delivery_rate: self.delivery_rate(),
            srtt: self.recovery.rtt.srtt().unwrap_or_default(),
            rttvar: self.recovery.rtt.rttvar().unwrap_or_default(),
            rtt_min: self.min_rtt(),
            rto: self.rto_backed_off(settings),
            retransmissions: self.recovery.retransmissions,
            timeouts: self.recovery.backoff(),
            repairs: self.repairs(),
            bytes_acked: self.snd.bytes_acked(),
            bytes_received: self.rcv.bytes_received(self.phase),
            in_flight: self.in_flight(),
            loss: self.loss(),
            segments: self.tally(),
            reordering: self.reordering().degree.max(3),
            reorderings: self.reordering().times,
            send_queued: self.outgoing.len(),
            receive_queued: self.incoming.len(),
            send_buffer: self.send_buffer(settings),
            receive_buffer: self.receive_buffer(settings),
            iss: self.snd.iss,
            snd_una: self.snd.una,
            snd_nxt: self.snd.nxt,
            snd_wnd: self.snd.wnd,
            irs: self.rcv.irs,
            rcv_nxt: self.rcv.nxt,
            rcv_wnd: self.rcv.wnd(),
            mss: self.snd.mss,
            timestamps: self.marks.has(Marks::TIMESTAMPS),
            sack: self.marks.has(Marks::SACK),
            shifts: (self.rcv.shift, self.snd.shift),
            syn_data: self.syn_data(),
            close_reason: self.close_reason,
        }
    }

    /// Returns the current stage of loss recovery.
    pub(in crate::tcp) fn loss(&self) -> Loss {
        let disorder = match &self.recovery.flight {
            Some(flight) => flight.board.selected_segments() > 0,
            None => self.recovery.duplicate_acks > 0,
        };
        let ecn = self.ecn_state();
        match self.recovery.stage {
            Stage::TimedOut => Loss::TimedOut,
            Stage::Open if self.recovery.backoff > 0 && self.snd.outstanding() > 0 => {
                Loss::TimedOut
            }
            Stage::Open if ecn.is_some_and(|e| e.has_responded(self.snd.iss, self.snd.una)) => {
                Loss::Marked
            }
            Stage::Open if disorder => Loss::Disorder,
            Stage::Open => Loss::None,
            Stage::Fast | Stage::Partial | Stage::Selective => Loss::Recovery,
        }
    }

    /// Returns the number of segments in flight, and of these the SACKed, lost and retransmitted.
    pub(in crate::tcp) fn tally(&self) -> [u32; 4] {
        let Tally { segments, selected, lost, again } = match &self.recovery.flight {
            Some(flight) => flight.board.tally(),
            None => self.tally_without_sack(),
        };
        [segments, selected, lost, again]
    }

    /// Estimates the tally as hosts do: each duplicate ACK means that one segment arrived.
    fn tally_without_sack(&self) -> Tally {
        let count = |bytes: u32| bytes.div_ceil(u32::from(self.snd.mss.max(1)));
        Tally {
            segments: count(self.snd.outstanding()),
            selected: u32::from(self.recovery.duplicate_acks),
            lost: count(self.snd.resend_end.distance_from(self.snd.resend)),
            again: 0,
        }
    }

    /// Returns the reordering measured on the path.
    pub(in crate::tcp) fn reordering(&self) -> Reordering {
        self.recovery.flight.as_deref().map_or_else(Reordering::default, |flight| flight.reordering)
    }

    /// Returns the statistics of loss recovery.
    pub(in crate::tcp) fn repairs(&self) -> Repairs {
        let stage = self.loss();
        let Some(flight) = self.recovery.flight.as_deref() else {
            return Repairs { stage, ..Repairs::NONE };
        };
        Repairs {
            stage,
            waiting: flight.board.waiting(),
            selected: flight.board.selected(),
            lost: flight.counts.lost,
            duplicates: flight.counts.duplicates,
            probes: flight.counts.probes,
            reductions: flight.counts.reductions,
            undone: flight.counts.undone,
            reordering_seen: flight.reordering.seen,
        }
    }

    /// Returns the minimum round-trip time of the last minutes; zero before the first measurement.
    pub(in crate::tcp) fn min_rtt(&self) -> Duration {
        let us = self.recovery.flight.as_deref().map_or(0, |flight| flight.path.min_rtt_us());
        Duration::from_micros(u64::from(us))
    }

    /// Returns the bytes per second delivered in the last complete round trip of the current
    /// flight.
    pub(in crate::tcp) fn delivery_rate(&self) -> Option<u64> {
        self.recovery.flight.as_deref()?.delivery.rate()
    }
}
