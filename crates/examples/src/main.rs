//! Programs on linerate that need other crates. Each is a module that reads on its own:
//!
//! `linerate-examples NAME INTERFACE ADDRESS/PREFIX [PORT]`
//!
//! They are one binary only so that hyper and rustls are linked once.

mod blocking;
mod http;
mod iperf;
mod launch;
mod proxy;
mod resp;
mod tls;

use launch::{Arguments, Outcome};

/// The `main` of an example.
type Main = fn(&Arguments) -> Outcome;

/// The examples by name, with the port that each serves if none is given.
const EXAMPLES: [(&str, Main); 6] = [
    ("blocking", blocking::main),
    ("http", http::main),
    ("iperf", iperf::main),
    ("proxy", proxy::main),
    ("resp", resp::main),
    ("tls", tls::main),
];

fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let Some((_, example)) = EXAMPLES.iter().find(|(known, _)| *known == name) else {
        let names = EXAMPLES.map(|(name, _)| name).join("|");
        return Err(format!("usage: linerate-examples {names} INTERFACE ADDRESS/PREFIX [PORT]"))?;
    };
    example(&Arguments::parse(words)?)
}
