//! Echo messages, and the length of the header that they share with errors.

/// Length of the header before an echo's data or an error's quote, in bytes.
pub const HEADER_LEN: usize = 8;

/// Contents of an echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifies the requesting program.
    pub ident: u16,
    /// Identifies the request.
    pub sequence: u16,
    /// Data that the reply returns.
    pub data: &'a [u8],
}
