//! Two complete stacks over a simulated link that loses 5 % of the frames. The clock is simulated
//! too: the example needs no privileges and no C compiler, and prints the same numbers each time.
//!
//! `cargo run -p linerate --no-default-features --example world`

use std::cell::RefCell;
use std::rc::Rc;

use linerate::link::impair::{Impaired, Impairments};
use linerate::metrics::Event;
use linerate::shard::{CloseReason, Config, ListenerConfig};
use linerate::sim::{Client, Echo, Plan, Tally, World, WorldConfig};
use linerate::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::new(WorldConfig { seed: 7, ..WorldConfig::default() });
    let (server, client) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);

    let config = Config::new(world.next_mac(), vec![(server, 24)], world.draw_secret());
    let server_host = world.add_host(&config, vec![Box::new(Echo::new(Rc::default()))]);
    world.host_mut(server_host).shard_mut(0).listen(ListenerConfig::on_port(7))?;

    let tally = Rc::new(RefCell::new(Tally::default()));
    let plan = Plan::echo((server, 7).into(), 10, 100_000);
    let network: Impairments = "loss=5%,delay=5ms".parse()?;
    let config = Config::new(world.next_mac(), vec![(client, 24)], world.draw_secret());
    let client_host = world.add_host_with(
        &config,
        vec![Box::new(Client::new(plan, Rc::clone(&tally)))],
        &mut |link, seed| Box::new(Impaired::new(link, &Impairments { seed, ..network })),
    );

    let start = world.now();
    let done = world.run(Duration::from_secs(300), |_| tally.borrow().ended_in_all() == 10);
    let tally = tally.borrow();
    println!("done: {done}, after {} ms of simulated time", world.now().since(start).as_millis());
    println!("connections finished: {}", tally.ended(CloseReason::Finished));
    println!("bytes echoed: {}, wrong: {}", tally.received, tally.wrong);
    for (name, host) in [("client", client_host), ("server", server_host)] {
        let retransmitted = world.host(host).shard(0).counters().counted(Event::Retransmitted);
        println!("{name}: {retransmitted} segments retransmitted");
    }
    Ok(())
}
