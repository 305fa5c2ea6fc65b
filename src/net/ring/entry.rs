//! One entry of a ring: 32 bytes, half a cache line.

/// One message between a client and a worker. Every combination of bits is valid here; the layer
/// above gives the numbers a meaning and checks it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Operation.
    pub op: u8,
    /// Flags of the operation.
    pub flags: u8,
    /// Result code: 0, or the cause of a failure.
    pub code: u16,
    /// Number of the stream that the entry is about.
    pub stream: u32,
    /// Generation of the stream: tells it from an earlier one with the same number.
    pub generation: u32,
    /// Length of the bytes that the entry is about.
    pub length: u32,
    /// Arguments or results of the operation.
    pub arguments: [u64; 2],
}

// Two entries fill a cache line, and four words are copied without padding.
const _: () = assert!(size_of::<Entry>() == 32 && align_of::<Entry>() == 8);

impl From<Entry> for [u64; 4] {
    fn from(entry: Entry) -> Self {
        let [first, second] = entry.arguments;
        [
            u64::from(entry.op)
                | u64::from(entry.flags) << 8
                | u64::from(entry.code) << 16
                | u64::from(entry.stream) << 32,
            u64::from(entry.generation) | u64::from(entry.length) << 32,
            first,
            second,
        ]
    }
}

impl From<[u64; 4]> for Entry {
    fn from([head, stream, first, second]: [u64; 4]) -> Self {
        Self {
            op: head as u8,
            flags: (head >> 8) as u8,
            code: (head >> 16) as u16,
            stream: (head >> 32) as u32,
            generation: stream as u32,
            length: (stream >> 32) as u32,
            arguments: [first, second],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Entry;

    #[test]
    fn every_pattern_of_bits_survives_the_way_through_an_entry() {
        let patterns = [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        for first in patterns {
            for second in patterns {
                let words = [first, second, !first, !second];
                assert_eq!(<[u64; 4]>::from(Entry::from(words)), words);
            }
        }
    }

    #[test]
    fn fields_lie_where_the_c_layout_puts_them() {
        let entry = Entry {
            op: 1,
            flags: 2,
            code: 3,
            stream: 4,
            generation: 5,
            length: 6,
            arguments: [7, 8],
        };
        let words = [0x0000_0004_0003_0201, 0x0000_0006_0000_0005, 7, 8];
        assert_eq!(<[u64; 4]>::from(entry), words);
    }
}
