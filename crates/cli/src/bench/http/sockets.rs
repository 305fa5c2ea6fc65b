//! hyper on tokio's runtime of one thread, over kernel sockets.

use std::convert::Infallible;
use std::future::Future;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};

use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};

use super::answer;

/// Runs a future on the calling thread, which becomes the only one of the runtime.
///
/// # Errors
/// When the runtime cannot be created, or as the future.
pub(super) fn run<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime: Runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(future)
}

/// Listens on a port of all IPv4 addresses; zero chooses a free one.
///
/// # Errors
/// When another program listens on the port.
pub(super) async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
}

/// Serves connections until the process ends.
///
/// # Errors
/// When the listener fails.
pub(super) async fn serve(listener: TcpListener) -> Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(answer::serve(TokioIo::new(stream)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;
    use crate::bench::http::answer::RESPONSE;

    /// Replaces the date, whose length is fixed (RFC 9110 §5.6.7).
    fn undated(response: &[u8]) -> String {
        let text = String::from_utf8_lossy(response);
        let date = text.find("date: ").map(|at| at + 6..at + 6 + 29).expect("a date");
        text.replace(&text[date], "-")
    }

    #[test]
    fn hyper_answers_with_the_bytes_of_the_callback_server() {
        let (sender, address) = std::sync::mpsc::channel();
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            run(async {
                let listener = listen(0).await?;
                sender.send(listener.local_addr()?).expect("the test waits");
                serve(listener).await
            })
        });
        let port = address.recv().expect("it listens").port();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it accepts");
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
            let mut response = vec![0; RESPONSE.len()];
            client.read_exact(&mut response).expect("it answers");
            assert_eq!(undated(&response), undated(RESPONSE));
        }
    }
}
