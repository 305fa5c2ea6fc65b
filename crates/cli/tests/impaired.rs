//! Our stack against our stack over a real veth pair whose link loses, delays, reorders, doubles and
//! corrupts frames: nothing acknowledged is lost, and the content is intact.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use linerate::shard::CloseReason;
use support::client::{Client, Closing, own_stack};
use support::{LEFT_OWN, Net, RIGHT_OWN, both, cidr, pattern, v6};

fn through(impairment: &'static str, connections: usize, bytes: usize) {
    let net = Net::new();
    let addresses =
        format!("--address {} --address {}", cidr(LEFT_OWN.into()), cidr(v6(LEFT_OWN).into()));
    let _server = net.serve(&format!("{addresses} --service echo:7 --impair {impairment}"));
    for address in both(LEFT_OWN) {
        let outcomes = net.on_right(move || {
            let config = own_stack(&both(RIGHT_OWN));
            let target = SocketAddr::new(address, 7);
            let client = Client { target, connections, bytes, closing: Closing::AfterWriting };
            client.run(&config, Duration::from_secs(120))
        });
        for (n, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome.ending, CloseReason::Finished, "connection {n} via {address}");
            assert!(outcome.received == pattern(n as u64, bytes), "connection {n} via {address}");
        }
    }
}

#[test]
fn through_five_percent_loss_with_reordering_the_content_is_intact() {
    through("loss=5%,reorder=5%,delay=1ms,seed=11", 8, 500_000);
}

#[test]
fn through_duplication_and_corruption_the_content_is_intact() {
    through("duplicate=3%,corrupt=1%,loss=1%,seed=12", 8, 500_000);
}

#[test]
fn many_short_connections_survive_heavy_loss() {
    through("loss=10%,seed=13", 200, 2_000);
}
