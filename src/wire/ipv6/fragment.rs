//! The fragment header (RFC 8200 §4.5).

/// Length of a fragment header in bytes.
pub const FRAGMENT_HEADER_LEN: usize = 8;

/// A fragment of a packet (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identification shared by the fragments of a packet.
    pub ident: u32,
    /// Offset of the fragment in bytes.
    pub offset_bytes: u16,
    /// More fragments follow.
    pub more: bool,
    /// Offset of the next-header field that announces the fragment header. After reassembly, when
    /// the fragment header is gone, that field names the header behind it.
    pub next_header_at: u16,
}
