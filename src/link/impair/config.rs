//! Configuration of network impairments.

use crate::time::Duration;

/// Impairment of one direction. The default is a perfect network.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Impairment {
    /// Probability of independent loss per frame.
    pub loss: f64,
    /// Additional loss in bursts.
    pub burst: Option<Burst>,
    /// Delay of each frame.
    pub delay: Duration,
    /// Maximum deviation from the delay, in both directions, uniformly distributed. Frames stay in
    /// order.
    pub jitter: Duration,
    /// Probability that a frame is delayed by a further [`gap`](Self::gap), so that later frames
    /// overtake it.
    pub reorder: f64,
    /// Additional delay of a reordered frame.
    pub gap: Duration,
    /// Probability that a frame is duplicated.
    pub duplicate: f64,
    /// Probability that one random bit of a frame is flipped.
    pub corrupt: f64,
    /// Largest packet that passes, in bytes without the Ethernet header. Larger ones are dropped
    /// silently.
    pub mtu: Option<usize>,
    /// Rate limit in bits per second, counting the frame's own bytes; `None` for no limit.
    pub rate: Option<u64>,
    /// Maximum number of frames queued at the rate limit; further ones are dropped.
    pub queue: usize,
    /// Queue length above which packets of ECN-capable transports are marked (RFC 3168); `None`
    /// never marks.
    pub mark: Option<usize>,
    /// Maximum number of frames in flight, queued and delayed; further ones are dropped. The inner
    /// link does not have these frames available.
    pub hold: usize,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: 0.0,
            gap: Duration::from_millis(1),
            duplicate: 0.0,
            corrupt: 0.0,
            mtu: None,
            rate: None,
            queue: 1000,
            mark: None,
            hold: 1000,
        }
    }
}

/// The Gilbert-Elliott model: a network with a good and a bad state that may change at each frame.
/// A bad spell lasts `1 / leave` frames on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Probability of changing from good to bad.
    pub enter: f64,
    /// Probability of changing from bad to good.
    pub leave: f64,
    /// Probability of loss in the bad state.
    pub loss_bad: f64,
    /// Probability of loss in the good state.
    pub loss_good: f64,
}

/// Impairments of both directions of a link, parsed from a compact string:
///
/// ```text
/// loss=5%,burst=1%/30%,reorder=3%,gap=1ms,delay=10ms,jitter=2ms,rate=100mbit,queue=64,mark=20,
/// hold=1000,duplicate=1%,corrupt=0.1%,mtu=1400,seed=7
/// ```
///
/// applies to both directions; `tx:loss=5%;rx:delay=10ms` configures them separately, as seen by
/// the user of the link. A part without a direction applies to both.
///
/// ```
/// use linerate::link::impair::Impairments;
/// let impairments: Impairments = "delay=10ms,seed=7;tx:loss=5%".parse()?;
/// assert_eq!((impairments.tx.loss, impairments.rx.loss), (0.05, 0.0));
/// # Ok::<(), linerate::link::impair::ImpairmentError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairments {
    /// Impairment of frames sent by the user of the link.
    pub tx: Impairment,
    /// Impairment of frames on their way to the user of the link.
    pub rx: Impairment,
    /// Seed of the random generator. The same seed and the same traffic give the same network.
    pub seed: u64,
}

impl Impairments {
    /// Creates the same impairment for both directions.
    #[must_use]
    pub const fn both(each: Impairment, seed: u64) -> Self {
        Self { tx: each, rx: each, seed }
    }
}
