//! Connections in SYN-RECEIVED after a passive open: their state in `state`, their responses in
//! `arrive`.

mod arrive;
mod cookie_content;
mod defer;
mod state;
#[cfg(test)]
mod tests;

pub use cookie_content::CookieContent;
pub use defer::Deferral;
pub use state::{Embryo, EmbryoAnswer, EmbryoDeadline};
