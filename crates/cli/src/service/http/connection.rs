//! One connection: hyper's, with deadlines, and an end that loses no response.

use std::future::{Future, poll_fn};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::server::conn::http1;
use linerate::Duration;
use linerate::net::{Sleep, TcpStream, now, sleep_until, timeout};

use super::answer::Exchange;
use super::connections::Connections;
use super::site::Site;
use super::stream::Watched;
use super::watch::{Phase, Watch};

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 32 * 1024;

/// Bytes that a connection buffers of requests, and of heads of responses.
const BUFFER_MAX: usize = 64 * 1024;

/// Time that a peer gets to read the last response before its connection is reset. RFC 9112 §9.6:
/// a server that closes with data of the client unread may destroy the response.
const LINGER: Duration = Duration::from_secs(2);

/// The answer to a head that takes too long (RFC 9110 §15.5.9).
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Returns hyper's settings. Its limit of header fields is 100 (431 beyond): a higher one costs an
/// allocation per request.
fn settings() -> http1::Builder {
    let mut settings = http1::Builder::new();
    // A client may close its direction after its last request, and still read.
    settings.half_close(true).max_header_size(HEAD_MAX).max_buf_size(BUFFER_MAX);
    // Its header timeout covers idle time too. Ours tells the two apart.
    settings.header_read_timeout(None);
    settings
}

/// The end of an HTTP connection. The peer may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All responses have left, and there are no more requests.
    Complete,
    /// The TCP connection has failed, or a request had no end.
    Failed,
    /// The peer took too long.
    TimedOut(Phase),
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, site: Arc<Site>, connections: Rc<Connections>) {
    let watch = Watch::new(now(), site.timeouts);
    let mut alarm = Alarm { sleep: sleep_until(watch.deadline()), waker: None };
    let io = Watched::new(stream, Rc::clone(&watch));
    let exchange = Exchange { site, watch: Rc::clone(&watch) };
    let mut http = settings().serve_connection(io, exchange);
    let mut member = connections.join();
    let end = poll_fn(|cx| {
        if member.must_close() {
            Pin::new(&mut http).graceful_shutdown();
        }
        if let Poll::Ready(result) = Pin::new(&mut http).poll(cx) {
            return Poll::Ready(if result.is_ok() { End::Complete } else { End::Failed });
        }
        member.wait(cx.waker());
        alarm.poll(cx, &watch).map(|()| End::TimedOut(watch.phase()))
    });
    let end = end.await;
    drop(member);
    let stream = http.into_parts().io.into_stream();
    close(stream, end).await;
}

/// Closes a connection: half-closes it, and reads on until the peer closes too (RFC 9112 §9.6).
async fn close(mut stream: TcpStream, end: End) {
    match end {
        // It would not read the rest either.
        End::TimedOut(Phase::Busy) => return stream.abort(),
        End::TimedOut(Phase::Head) => {
            // A send buffer without room for it has a peer that does not read.
            let _ = stream.try_write(REQUEST_TIMEOUT);
        }
        End::TimedOut(Phase::New | Phase::Idle) | End::Complete | End::Failed => {}
    }
    if stream.shutdown(Shutdown::Write).is_ok() {
        let mut discarded = [0; 4096];
        let drain = async { while let Ok(1..) = stream.read(&mut discarded).await {} };
        // After that the peer has had its time.
        let _ = timeout(LINGER, drain).await;
    }
}

/// The timer of a connection. Requests move the deadline without touching the timer, which costs
/// more: it follows when it is due.
struct Alarm {
    sleep: Sleep,
    /// The task that the timer wakes.
    waker: Option<Waker>,
}

impl Alarm {
    /// Polls the deadline of the connection.
    fn poll(&mut self, cx: &mut Context<'_>, watch: &Watch) -> Poll<()> {
        let due = watch.deadline();
        if now() >= due {
            return Poll::Ready(());
        }
        let is_set = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let wakes_at = self.sleep.deadline();
        if is_set && now() < wakes_at && wakes_at <= due {
            return Poll::Pending;
        }
        self.sleep.reset(due);
        self.waker = Some(cx.waker().clone());
        Pin::new(&mut self.sleep).poll(cx)
    }
}
