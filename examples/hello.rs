//! An async echo: `cargo run --example hello -- veth0 10.99.0.11/24`, then `nc 10.99.0.11 7`.

use linerate::net::{Executor, TcpListener, copy, spawn};
use linerate::{Duration, Shutdown, Stack, StackConfig};

async fn echo() {
    let mut listener = TcpListener::bind("0.0.0.0:7").await.expect("nothing else uses port 7");
    println!("ready");
    while let Ok((mut stream, _peer)) = listener.accept().await {
        spawn(async move {
            let (mut read, mut write) = stream.split();
            copy(&mut read, &mut write).await
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, interface, cidr] = &arguments[..] else { return Err("hello INTERFACE IP/24".into()) };
    let (ip, prefix) = cidr.split_once('/').ok_or("an address with its prefix: 10.0.0.2/24")?;
    let config = StackConfig::new(interface, vec![(ip.parse()?, prefix.parse()?)]);
    let stack = Stack::start(&config, |_worker| Box::new(Executor::new(echo)))?;
    signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM])?.forever().next();
    stack.stop(Shutdown::Close { grace: Duration::from_secs(1) });
    Ok(())
}
