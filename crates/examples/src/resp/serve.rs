//! Connections of clients: requests in, replies out, in order.
//!
//! A client holds at most one request, the replies of one command and [`FLUSH`] bytes of earlier
//! replies. While it does not read its replies, its requests are not read either.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use linerate::net::{TcpStream, draining, interval, now, spawn};

use super::command::{Flow, execute};
use super::reply;
use super::request::{Parsed, parse};
use super::store::Store;
use crate::launch::{Arguments, Outcome, run, serve};

/// Replies that are written before the next request is executed, bytes.
const FLUSH: usize = 64 << 10;

/// Bytes read at once.
const READ: usize = 16 << 10;

/// Time between two runs of the expiry: ten times a second, as Redis does. A key that is asked for
/// is gone exactly at its deadline; this frees those that nothing asks for.
const EXPIRY_PERIOD: Duration = Duration::from_millis(100);

/// Serves Redis' protocol on port 6379.
pub(crate) fn main(arguments: &Arguments) -> Outcome {
    let port = arguments.port.unwrap_or(6379);
    run(arguments, move || async move {
        let store = Rc::new(RefCell::new(Store::default()));
        spawn(expire(Rc::clone(&store)));
        serve(port, move |stream| connection(stream, Rc::clone(&store))).await
    })
}

async fn expire(store: Rc<RefCell<Store>>) {
    let mut ticks = interval(EXPIRY_PERIOD);
    loop {
        ticks.tick().await;
        store.borrow_mut().expire(now());
    }
}

/// Serves a client until it leaves, asks to quit, breaks the protocol, or the stack drains.
async fn connection(mut stream: TcpStream, store: Rc<RefCell<Store>>) -> Outcome {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    let mut output = Vec::new();
    loop {
        input.reserve(READ);
        let (n, filled) = tokio::select! {
            biased;
            read = stream.read_buf(input) => (read.0?, read.1),
            _ = draining() => return Ok(()),
        };
        input = filled;
        let flow = answer_all(&mut stream, &store, &mut input, &mut output).await?;
        stream.write_all(&output).await?;
        output.clear();
        if n == 0 || flow == Flow::Quit {
            return Ok(());
        }
        // An idle client holds no buffers.
        if input.is_empty() {
            (input, output) = (Vec::new(), Vec::new());
        }
    }
}

/// Answers all complete requests of `input` and removes them from it.
async fn answer_all(
    stream: &mut TcpStream,
    store: &RefCell<Store>,
    input: &mut Vec<u8>,
    output: &mut Vec<u8>,
) -> std::io::Result<Flow> {
    let mut done = 0;
    let mut flow = Flow::Continue;
    while flow == Flow::Continue {
        match parse(&input[done..]) {
            Parsed::Incomplete => break,
            Parsed::Request(words, n) => {
                flow = execute(&words, &mut store.borrow_mut(), now(), output);
                done += n;
            }
            Parsed::Broken(text) => {
                reply::error(output, &text);
                flow = Flow::Quit;
            }
        }
        if output.len() >= FLUSH {
            stream.write_all(output).await?;
            output.clear();
        }
    }
    input.drain(..done);
    Ok(flow)
}
