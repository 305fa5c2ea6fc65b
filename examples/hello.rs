//! An async echo server. Without arguments it runs on a TAP device, which needs no root:
//! `unshare -rn` around it is enough. With an interface and an address it runs on AF_XDP.

use linerate::StackConfig;
use linerate::net::{self, TcpListener, copy, spawn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config = match &arguments[..] {
        [interface, address] => StackConfig::new(interface, vec![(address.parse()?, 24)]),
        _ => StackConfig::tap("tap0", vec![("10.0.0.2".parse()?, 24)]),
    };
    net::run(&config, async |_worker| -> std::io::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        println!("ready");
        loop {
            let (mut stream, _peer) = listener.accept().await?;
            spawn(async move {
                let (mut read, mut write) = stream.split();
                copy(&mut read, &mut write).await
            });
        }
    })?;
    Ok(())
}
