//! `examples/hello.rs` of the library.

use crate::namespaces::{LEFT_OWN, Net};
use crate::server::Server;
use crate::{exchange, pattern, program};

#[test]
fn hello_echoes_and_closes_after_its_peer() {
    let net = Net::new();
    let mut command = program(&net, env!("CARGO_BIN_EXE_hello"));
    command.args(["veth0", &LEFT_OWN.to_string()]);
    let mut server = Server::start(command);
    let sent = pattern(300_000);
    assert!(exchange(&net, 7, sent.clone()) == sent, "the echo differs");
    // It has no handler for SIGTERM, which ends it.
    assert_eq!(server.stop(), None);
}
