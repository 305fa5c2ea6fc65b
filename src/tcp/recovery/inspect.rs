//! What is told of loss recovery to who asks how a connection is doing.
//!
//! Owns nothing, changes nothing.

use super::{Reordering, Stage};
use crate::tcp::connection::Connection;
use crate::tcp::flight::Tally;
use crate::tcp::interface::Loss;

impl Connection {
    /// Where it stands.
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

    /// Segments in flight; of these selected, lost, sent again.
    pub(in crate::tcp) fn tally(&self) -> [u32; 4] {
        let Tally { segments, selected, lost, again } = match &self.recovery.flight {
            Some(flight) => flight.board.tally(),
            None => self.tally_without_sack(),
        };
        [segments, selected, lost, again]
    }

    /// As hosts estimate it: each duplicate ACK tells of a segment that arrived.
    fn tally_without_sack(&self) -> Tally {
        let count = |bytes: u32| bytes.div_ceil(u32::from(self.snd.mss.max(1)));
        Tally {
            segments: count(self.snd.outstanding()),
            selected: u32::from(self.recovery.duplicate_acks),
            lost: count(self.snd.resend_end.distance_from(self.snd.resend)),
            again: 0,
        }
    }

    /// What is known of the order on the path.
    pub(in crate::tcp) fn reordering(&self) -> Reordering {
        self.recovery.flight.as_deref().map_or_else(Reordering::default, |flight| flight.reordering)
    }
}
