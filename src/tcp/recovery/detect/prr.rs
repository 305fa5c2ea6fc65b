//! Proportional rate reduction (RFC 9937, which obsoletes RFC 6937): limits transmission while fast
//! recovery reduces the flight to ssthresh, and so preserves congestion control (RFC 2018 §5.1).
//!
//! Owns the byte counts of one recovery.

/// Counts of one recovery, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Prr {
    delivered: u32,
    out: u32,
    recover_fs: u32,
}

/// Facts of an ACK in recovery.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Progress {
    /// DeliveredData.
    pub(in crate::tcp) delivered: u32,
    /// Bytes in flight (pipe) after the ACK.
    pub(in crate::tcp) in_flight: u32,
    /// safeACK: SND.UNA advances and no further loss is found.
    pub(in crate::tcp) safe: bool,
}

impl Prr {
    /// Starts fast recovery with `recover_fs` bytes in flight:
    ///   > RecoverFS = SND.NXT - SND.UNA
    ///   > Bytes SACKed before entering recovery will not be marked as delivered during recovery
    pub(in crate::tcp) const fn begin(&mut self, recover_fs: u32) {
        *self = Self { delivered: 0, out: 0, recover_fs };
    }

    /// Counts sent data, new or retransmitted.
    pub(in crate::tcp) const fn on_sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
    }

    /// Returns cwnd after an ACK (RFC 9937 §6.2).
    pub(in crate::tcp) fn cwnd(&mut self, progress: &Progress, ssthresh: u32, smss: u32) -> u32 {
        self.delivered = self.delivered.saturating_add(progress.delivered);
        let mut count = if progress.in_flight > ssthresh {
            self.proportional(ssthresh)
        } else {
            // PRR-CRB: conservative. PRR-SSRB: one segment more for a safe ACK.
            let deliverable = self.delivered.saturating_sub(self.out).max(progress.delivered);
            let more = if progress.safe { smss } else { 0 };
            deliverable.saturating_add(more).min(ssthresh - progress.in_flight)
        };
        // "Force a fast retransmit upon entering recovery".
        if self.out == 0 && count == 0 {
            count = smss;
        }
        progress.in_flight.saturating_add(count)
    }

    /// CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out.
    fn proportional(&self, ssthresh: u32) -> u32 {
        let product = u64::from(self.delivered) * u64::from(ssthresh);
        let share = product.div_ceil(u64::from(self.recover_fs.max(1)));
        u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// RFC 9937 §7: 20 segments in flight, the first one lost; ssthresh is half (CUBIC or Reno).
    fn begun() -> Prr {
        let mut prr = Prr::default();
        prr.begin(20 * MSS);
        prr
    }

    #[test]
    fn one_segment_is_sent_for_two_delivered_while_the_flight_shrinks_to_half() {
        // RFC 9937 §6.2: sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out
        let mut prr = begun();
        let mut in_flight = 19 * MSS;
        let mut sent = 0;
        for acked in 1..=18 {
            in_flight -= MSS;
            let progress = Progress { delivered: MSS, in_flight, safe: false };
            let cwnd = prr.cwnd(&progress, 10 * MSS, MSS);
            while in_flight + MSS <= cwnd {
                prr.on_sent(MSS);
                in_flight += MSS;
                sent += 1;
            }
            let half = acked / 2..=acked / 2 + 1;
            assert!(half.contains(&sent) || in_flight == 10 * MSS, "{acked} {sent}");
        }
        assert_eq!(in_flight, 10 * MSS);
    }

    #[test]
    fn below_ssthresh_packets_are_conserved_unless_the_ack_is_safe() {
        // RFC 9937 §6.2: PRR-CRB by default, PRR-SSRB when safeACK
        let mut prr = begun();
        prr.on_sent(MSS);
        let risky = Progress { delivered: MSS, in_flight: 4 * MSS, safe: false };
        assert_eq!(prr.cwnd(&risky, 10 * MSS, MSS), 5 * MSS);
        prr.on_sent(MSS);
        let safe = Progress { safe: true, ..risky };
        assert_eq!(prr.cwnd(&safe, 10 * MSS, MSS), 6 * MSS);
        prr.on_sent(2 * MSS);
        let near = Progress { in_flight: 9 * MSS + 500, ..safe };
        assert_eq!(prr.cwnd(&near, 10 * MSS, MSS), 10 * MSS, "no more than ssthresh");
    }

    #[test]
    fn the_lost_segment_is_sent_at_once_whatever_the_formula_says() {
        // RFC 9937 §6.2: "Force a fast retransmit upon entering recovery"
        let mut prr = begun();
        let none = Progress { delivered: 0, in_flight: 19 * MSS, safe: false };
        assert_eq!(prr.cwnd(&none, 10 * MSS, MSS), 20 * MSS);
    }

    #[test]
    fn no_amount_overflows() {
        let mut prr = Prr::default();
        prr.begin(0);
        let all = Progress { delivered: u32::MAX, in_flight: u32::MAX, safe: true };
        for ssthresh in [0, 1, u32::MAX] {
            let _ = prr.cwnd(&all, ssthresh, u32::MAX);
            prr.on_sent(u32::MAX);
            let _ = prr.cwnd(&Progress { in_flight: 0, ..all }, ssthresh, u32::MAX);
        }
    }
}
