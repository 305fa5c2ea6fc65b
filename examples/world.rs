//! Two whole stacks, a cable that loses five frames in a hundred, and a clock that the program
//! moves: no privileges, no C compiler, and the same numbers each time.
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
    let host = world.add_host(&config, vec![Box::new(Echo::new(Rc::default()))]);
    world.host_mut(host).shard_mut(0).listen(ListenerConfig::on_port(7))?;

    let tally = Rc::new(RefCell::new(Tally::default()));
    let plan = Plan::echo((server, 7).into(), 10, 100_000);
    let network: Impairments = "loss=5%,delay=5ms".parse()?;
    let config = Config::new(world.next_mac(), vec![(client, 24)], world.draw_secret());
    let opener = world.add_host_with(
        &config,
        vec![Box::new(Client::new(plan, Rc::clone(&tally)))],
        &mut |cable, seed| Box::new(Impaired::new(cable, &Impairments { seed, ..network })),
    );

    let begun = world.now();
    let done = world.run(Duration::from_secs(300), |_| tally.borrow().ended_in_all() == 10);
    let tally = tally.borrow();
    println!("done: {done}, after {} ms of the world's time", world.now().since(begun).as_millis());
    println!("connections finished: {}", tally.ended(CloseReason::Finished));
    println!("bytes echoed: {}, wrong ones: {}", tally.received, tally.wrong);
    for (name, host) in [("client", opener), ("server", host)] {
        let again = world.host(host).shard(0).counters().counted(Event::Retransmitted);
        println!("{name}: {again} segments sent again");
    }
    Ok(())
}
