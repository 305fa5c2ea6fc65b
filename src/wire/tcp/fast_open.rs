//! The Fast Open option (RFC 7413 §4.1.1): a cookie or a request for one, in either of two forms.

use super::kind;

/// Identifies an experimental option as Fast Open.
pub(super) const EXPERIMENT_ID: [u8; 2] = [0xf9, 0x89];

/// Encoding of the option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastOpenForm {
    /// Assigned kind 34.
    #[default]
    Assigned,
    /// Experimental kind 254, which hosts sent before the assignment.
    Experimental,
}

/// The Fast Open option of a SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpen<'a> {
    /// Encoding.
    pub form: FastOpenForm,
    /// Cookie of 4 to 16 bytes; empty to request one.
    pub cookie: &'a [u8],
}

impl<'a> FastOpen<'a> {
    /// Parses the body of an option of `kind`.
    pub(super) fn from_body(kind: u8, body: &'a [u8]) -> Option<Self> {
        let (form, cookie) = match (kind, body) {
            (kind::FAST_OPEN, cookie) => (FastOpenForm::Assigned, cookie),
            (kind::EXPERIMENT, [a, b, cookie @ ..]) if [*a, *b] == EXPERIMENT_ID => {
                (FastOpenForm::Experimental, cookie)
            }
            _ => return None,
        };
        is_cookie(cookie).then_some(Self { form, cookie })
    }

    /// Returns the bytes before the cookie: kind, length and the experiment identifier, if any.
    pub(super) fn head(&self) -> ([u8; 4], usize) {
        let [a, b] = EXPERIMENT_ID;
        match self.form {
            FastOpenForm::Assigned => ([kind::FAST_OPEN, 2 + self.cookie.len() as u8, 0, 0], 2),
            FastOpenForm::Experimental => {
                ([kind::EXPERIMENT, 4 + self.cookie.len() as u8, a, b], 4)
            }
        }
    }

    /// Returns the length of the option in bytes, padded to words.
    pub(super) fn byte_len(&self) -> usize {
        (self.head().1 + self.cookie.len()).next_multiple_of(4)
    }
}

/// RFC 7413 §4.1.1, erratum 4238: an even number of 4 to 16 bytes, or none to request a cookie.
const fn is_cookie(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.len() >= 4 && bytes.len() <= 16 && bytes.len().is_multiple_of(2)
}
