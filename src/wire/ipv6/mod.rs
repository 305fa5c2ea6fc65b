//! IPv6 headers (RFC 8200) and the walk over extension headers to the upper layer.
//!
//! Reports fragments without reassembling them; [`rewrite_reassembled`] rewrites the header of a
//! reassembled packet.
//!
//! | file | |
//! |---|---|
//! | `header` | the fixed header |
//! | `fragment` | the fragment header |
//! | `extensions` | the walk over extension headers |
//! | `parse` | parsing of whole and quoted packets |

mod extensions;
mod fragment;
mod header;
mod parse;

#[cfg(test)]
mod tests;

pub use extensions::{EXTENSIONS_MAX, Problem, reaches_upper_layer};
pub use fragment::{FRAGMENT_HEADER_LEN, Fragment};
pub use header::{HEADER_LEN, Header, HeaderOut, MTU_MIN, rewrite_reassembled};
pub(super) use parse::parse_quoted;
pub use parse::{parse, problem};
