//! The two options of Accurate ECN (RFC 9768 §3.2.3): up to three counters of 24 bits in one of two
//! orders. Unchanged counters at the tail are omitted.

use super::kind;

/// Length of one counter in bytes.
const FIELD_LEN: usize = 3;

/// The counters of an option, each modulo 2^24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccEcn {
    /// EE0B: bytes that arrived with ECT(0).
    pub e0b: Option<u32>,
    /// ECEB: bytes that arrived with CE.
    pub ceb: Option<u32>,
    /// EE1B: bytes that arrived with ECT(1).
    pub e1b: Option<u32>,
}

impl AccEcn {
    /// Parses the body of an option of either kind.
    ///
    /// RFC 9768 §3.2.3:
    /// > if the AccECN Option is of any other length, implementations MUST use those whole 3-octet
    /// > fields that fit within the length and ignore the remainder of the option
    pub(super) fn from_body(kind: u8, body: &[u8]) -> Self {
        let mut fields = body.as_chunks::<FIELD_LEN>().0.iter();
        let mut next = || fields.next().map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c]));
        let (first, ceb, last) = (next(), next(), next());
        if kind == kind::ACCECN0 {
            Self { e0b: first, ceb, e1b: last }
        } else {
            Self { e0b: last, ceb, e1b: first }
        }
    }

    /// Returns the kind whose order has no gap, and its fields up to the first omitted one.
    fn layout(self) -> (u8, [Option<u32>; 3]) {
        let Self { e0b, ceb, e1b } = self;
        if e0b.is_none() && e1b.is_some() {
            (kind::ACCECN1, [e1b, ceb, None])
        } else {
            (kind::ACCECN0, [e0b, ceb, e1b.filter(|_| ceb.is_some())])
        }
    }

    fn fields(self) -> usize {
        self.layout().1.iter().take_while(|field| field.is_some()).count()
    }

    /// Returns the counters that fit into an option of `room` bytes, padding included; `None` if
    /// not even one fits.
    pub(super) fn within(self, room: usize) -> Option<Self> {
        let fit = (room / 4 * 4).checked_sub(2)? / FIELD_LEN;
        let (kind, mut values) = self.layout();
        values.iter_mut().skip(fit).for_each(|value| *value = None);
        let [first, ceb, last] = values;
        let (e0b, e1b) = if kind == kind::ACCECN0 { (first, last) } else { (last, first) };
        Some(Self { e0b, ceb, e1b }).filter(|counters| fit > 0 && counters.fields() > 0)
    }

    /// Returns the length of the padded option in words.
    #[inline]
    pub(super) fn words(self) -> usize {
        (2 + FIELD_LEN * self.fields()).div_ceil(4)
    }

    /// Returns the option as words, padded with no-operations, and their number.
    pub(super) fn to_words(self) -> ([[u8; 4]; 3], usize) {
        let (kind, values) = self.layout();
        let mut bytes = [kind::NOP; 12];
        bytes[0] = kind;
        bytes[1] = (2 + FIELD_LEN * self.fields()) as u8;
        let places = bytes[2..].chunks_exact_mut(FIELD_LEN);
        for (place, value) in places.zip(values.iter().map_while(|value| *value)) {
            place.copy_from_slice(&value.to_be_bytes()[1..]);
        }
        let mut words = [[0; 4]; 3];
        words.as_flattened_mut().copy_from_slice(&bytes);
        (words, self.words())
    }
}
