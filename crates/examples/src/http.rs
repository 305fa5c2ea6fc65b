//! An HTTP server: hyper, unmodified, on linerate's streams, tasks and timers.
//!
//! `linerate-examples http veth0 10.99.0.11/24`, then `curl http://10.99.0.11/`. HTTP/2 needs no
//! option: a connection that opens with its preface speaks it (`curl --http2-prior-knowledge`).

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto;
use linerate::net::{HyperExecutor, HyperIo, HyperTimer, TcpStream, draining};

use crate::launch::{Arguments, Outcome, run, serve};

/// The longest time from the start of a request to the end of its header. A client that sends a
/// byte a minute would otherwise hold a connection for as long as it likes.
const HEADER_WAIT: Duration = Duration::from_secs(10);

/// Most bytes that `/bytes/N` answers. They are allocated at once.
const BYTES_MAX: usize = 16 << 20;

type Body = BoxBody<Bytes, hyper::Error>;

/// Serves HTTP/1.1 and HTTP/2 on port 80.
pub(crate) fn main(arguments: &Arguments) -> Outcome {
    let port = arguments.port.unwrap_or(80);
    run(arguments, move || serve(port, connection))
}

/// Serves the requests of a connection. When the stack drains, it finishes those under way.
async fn connection(stream: TcpStream) -> Outcome {
    let mut builder = auto::Builder::new(HyperExecutor);
    builder.http1().timer(HyperTimer::new()).header_read_timeout(HEADER_WAIT);
    builder.http2().timer(HyperTimer::new()).keep_alive_interval(HEADER_WAIT);
    let connection = builder.serve_connection(HyperIo::new(stream), service_fn(answer));
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => return result,
        _ = draining() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Answers a request.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let length = request.uri().path().strip_prefix("/bytes/").and_then(|n| n.parse().ok());
    let (status, body) = match (request.method(), request.uri().path(), length) {
        (&Method::GET | &Method::HEAD, "/", _) => (StatusCode::OK, text("hello from linerate\n")),
        (&Method::GET | &Method::HEAD, _, Some(0..=BYTES_MAX)) => {
            (StatusCode::OK, text(vec![b'x'; length.unwrap_or(0)]))
        }
        (&Method::POST, "/echo", _) => (StatusCode::OK, request.into_body().boxed()),
        (_, "/" | "/echo", _) => (StatusCode::METHOD_NOT_ALLOWED, text("not for this method\n")),
        _ => (StatusCode::NOT_FOUND, text("try /, /bytes/N or POST /echo\n")),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if is_head {
        // Over HTTP/2 hyper sends the body that it is given.
        let length = response.body().size_hint().exact().unwrap_or(0);
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        *response.body_mut() = text("");
    }
    Ok(response)
}

fn text(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}
