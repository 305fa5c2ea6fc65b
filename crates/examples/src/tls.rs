//! An HTTPS server: rustls over linerate's streams, hyper over rustls.
//!
//! `linerate-examples tls veth0 10.99.0.11/24`, then `curl -k https://10.99.0.11/`. The certificate
//! is made at the start and signed by itself. ALPN chooses HTTP/2 or HTTP/1.1.
//!
//! tokio-rustls asks for tokio's traits of a stream, not for tokio's runtime: the handshake and the
//! encryption run on the worker.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use linerate::net::{HyperExecutor, HyperTimer, TcpStream, draining, timeout};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::launch::{Arguments, Outcome, run, serve};

/// The longest time that a client has for its handshake, and for the header of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves HTTPS on port 443.
pub(crate) fn main(arguments: &Arguments) -> Outcome {
    let port = arguments.port.unwrap_or(443);
    let acceptor = TlsAcceptor::from(Arc::new(server_config(arguments.address)?));
    run(arguments, move || {
        let acceptor = acceptor.clone();
        serve(port, move |stream| connection(acceptor.clone(), stream))
    })
}

/// Makes a certificate for `address` and a configuration with it.
fn server_config(
    address: IpAddr,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let made = rcgen::generate_simple_self_signed([address.to_string()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Shakes hands and serves the requests of a connection.
async fn connection(acceptor: TlsAcceptor, stream: TcpStream) -> Outcome {
    let stream = timeout(PATIENCE, acceptor.accept(stream)).await??;
    let version = stream.get_ref().1.protocol_version();
    let text = format!("hello over {}\n", version.and_then(|v| v.as_str()).unwrap_or("TLS"));
    let body = Full::new(Bytes::from(text));
    let answer = |_: Request<Incoming>| ready(Ok::<_, Infallible>(Response::new(body.clone())));
    let mut builder = auto::Builder::new(HyperExecutor);
    builder.http1().timer(HyperTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(HyperTimer::new()).keep_alive_interval(PATIENCE);
    let connection = builder.serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => return result,
        _ = draining() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
