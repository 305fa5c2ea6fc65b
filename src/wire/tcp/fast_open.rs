//! The Fast Open option (RFC 7413 §4.1.1): a cookie, or the request for one, in either of its two forms.

use super::options::kind;

/// What marks an experiment as Fast Open.
pub(super) const EXPERIMENT_ID: [u8; 2] = [0xf9, 0x89];

/// How the option is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastOpenForm {
    /// Under the kind that was assigned to it, 34.
    #[default]
    Assigned,
    /// As an experiment (kind 254), as hosts sent it before.
    Experimental,
}

/// The option of a SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpen<'a> {
    /// How it is written.
    pub form: FastOpenForm,
    /// 4 to 16 bytes, or none, which asks for a cookie.
    pub cookie: &'a [u8],
}

impl<'a> FastOpen<'a> {
    /// From the content of an option of `kind`, behind kind and length.
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

    /// Kind, length, and what else stands before the cookie.
    pub(super) fn head(&self) -> ([u8; 4], usize) {
        let [a, b] = EXPERIMENT_ID;
        match self.form {
            FastOpenForm::Assigned => ([kind::FAST_OPEN, 2 + self.cookie.len() as u8, 0, 0], 2),
            FastOpenForm::Experimental => {
                ([kind::EXPERIMENT, 4 + self.cookie.len() as u8, a, b], 4)
            }
        }
    }

    /// Bytes of the option, padded to words.
    pub(super) fn byte_len(&self) -> usize {
        (self.head().1 + self.cookie.len()).next_multiple_of(4)
    }
}

/// RFC 7413 §4.1.1, erratum 4238: 4 to 16 bytes, an even number; or none, which asks for one.
const fn is_cookie(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.len() >= 4 && bytes.len() <= 16 && bytes.len().is_multiple_of(2)
}
