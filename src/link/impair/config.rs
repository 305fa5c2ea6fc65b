//! What a bad network does to frames.

use crate::time::Duration;

/// What happens to the frames of one direction. The default is a perfect network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Probability that a frame is lost, each by itself.
    pub loss: f64,
    /// Loss in bursts, on top.
    pub burst: Option<Burst>,
    /// How long each frame travels.
    pub delay: Duration,
    /// The most by which the delay of a frame differs, either way, evenly spread. Frames stay in order.
    pub jitter: Duration,
    /// Probability that a frame is held back by [`gap`](Self::gap), so that later ones overtake it.
    pub reorder: f64,
    /// How long a reordered frame is held back.
    pub gap: Duration,
    /// Probability that a frame arrives twice.
    pub duplicate: f64,
    /// Probability that one bit of a frame, anywhere in it, is flipped.
    pub corrupt: f64,
    /// The largest packet that passes, bytes without the Ethernet header: larger ones are lost without a word.
    pub mtu: Option<usize>,
    /// Bits a second that pass, counting the frame's own bytes; `None` for no limit.
    pub rate: Option<u64>,
    /// Frames that wait for their turn at the rate limit; further ones are dropped.
    pub queue: usize,
    /// From so many frames waiting on, packets of transports that take marks are marked (RFC 3168); `None`
    /// never marks.
    pub mark: Option<usize>,
    /// Frames on their way at once, waiting and travelling; further ones are dropped. A frame that is
    /// held here is missing to the link inside.
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

/// The model of Gilbert and Elliott: a network that is good or bad, and changes its mind at each frame.
/// A bad spell lasts `1 / leave` frames on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Probability that a good network turns bad.
    pub enter: f64,
    /// Probability that a bad network turns good.
    pub leave: f64,
    /// Probability of loss while bad.
    pub loss_bad: f64,
    /// Probability of loss while good.
    pub loss_good: f64,
}

/// Both directions of a link. Read from a compact string:
///
/// `loss=5%,burst=1%/30%,reorder=3%,gap=1ms,delay=10ms,jitter=2ms,rate=100mbit,queue=64,mark=20,hold=1000,duplicate=1%,corrupt=0.1%,mtu=1400,seed=7`
///
/// for both; `tx:loss=5%;rx:delay=10ms` sets them apart, from the side of the link's user; a part
/// without a direction holds for both.
///
/// ```
/// use linerate::link::impair::Impairments;
/// let impairments: Impairments = "delay=10ms,seed=7;tx:loss=5%".parse()?;
/// assert_eq!((impairments.tx.loss, impairments.rx.loss), (0.05, 0.0));
/// # Ok::<(), linerate::link::impair::ImpairmentError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairments {
    /// What is done to frames that the link's user sends.
    pub tx: Impairment,
    /// What is done to frames on their way to the link's user.
    pub rx: Impairment,
    /// The seed of all chance; the same seed and the same traffic give the same network.
    pub seed: u64,
}

impl Impairments {
    /// The same in both directions.
    #[must_use]
    pub const fn both(each: Impairment, seed: u64) -> Self {
        Self { tx: each, rx: each, seed }
    }
}
