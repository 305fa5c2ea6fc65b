//! Connections in SYN-RECEIVED after a passive open: their state in `state`, their responses in
//! `arrive`.

mod arrive;
mod cookie_content;
mod state;
#[cfg(test)]
mod tests;

pub use cookie_content::CookieContent;
pub use state::{Embryo, EmbryoAnswer, EmbryoDeadline};
