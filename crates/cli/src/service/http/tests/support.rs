//! A world of a server and a client that speaks raw bytes.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use linerate::Duration;
use linerate::net::{Executor, TcpListener, TcpStream};
use linerate::shard::{Config, Service};
use linerate::sim::{HostId, World, WorldConfig};

use super::super::server::accept;
use super::super::{Content, Site, Timeouts};

const SERVER: &str = "10.0.0.1:80";

/// The timeouts of the server under test.
pub(super) const TIMEOUTS: Timeouts =
    Timeouts { header: Duration::from_secs(10), idle: Duration::from_secs(60) };

/// Creates a site with a body of so many bytes.
pub(super) fn site(bytes: usize) -> Site {
    Site { content: Arc::new(Content::of_size(bytes)), hosts: Vec::new(), timeouts: TIMEOUTS }
}

/// Returns the server of a site.
pub(super) fn server(site: Site) -> Executor {
    Executor::new(async move || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        accept(listener, Arc::new(site)).await;
    })
}

fn add(world: &mut World, host: u8, service: Box<dyn Service>) -> HostId {
    let (mac, secret) = (world.next_mac(), world.draw_secret());
    let config = Config::new(mac, vec![([10, 0, 0, host].into(), 24)], secret);
    world.add_host(&config, vec![service])
}

/// Runs a client against a server, and returns the result of the client.
pub(super) fn run<T, F>(
    server: impl Service + 'static,
    client: impl FnOnce(TcpStream) -> F + 'static,
) -> T
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let mut world = World::new(WorldConfig::default());
    add(&mut world, 1, Box::new(server));
    let result = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&result);
    let program = Executor::new(async move || {
        let stream = TcpStream::connect(SERVER).await.expect("a server");
        let output = client(stream).await;
        slot.replace(Some(output));
    });
    let id = add(&mut world, 2, Box::new(program));
    let is_over = world.run(Duration::from_secs(600), |world| world.host(id).has_stopped(0));
    assert!(is_over, "the client's program does not end");
    result.take().expect("a result of the client")
}

/// Sends bytes, half-closes, and returns everything that comes back.
pub(super) fn answers_of(site: Site, request: &[u8]) -> String {
    let request = request.to_owned();
    run(server(site), async move |mut stream: TcpStream| {
        stream.write_all(&request).await.expect("the server reads");
        stream.shutdown(std::net::Shutdown::Write).expect("the connection is open");
        rest(&mut stream).await
    })
}

/// Returns the status codes of the answers to requests on one connection.
pub(super) fn statuses_of(site: Site, request: &str) -> Vec<u16> {
    statuses(&answers_of(site, request.as_bytes()))
}

/// Returns the status of the answer to one request.
#[track_caller]
pub(super) fn status_of(site: Site, request: &str) -> u16 {
    let statuses = statuses_of(site, request);
    assert_eq!(statuses.len(), 1, "{request:?}: {statuses:?}");
    statuses[0]
}

/// Returns the status codes in received text.
pub(super) fn statuses(text: &str) -> Vec<u16> {
    let answers = text.split("HTTP/1.").skip(1);
    answers.map(|answer| answer[2..5].parse().expect("a status code")).collect()
}

/// Reads to the end of the stream.
pub(super) async fn rest(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.expect("a FIN, not a reset");
    String::from_utf8(received).expect("text")
}

/// Reads until the text that has come ends with `end`.
pub(super) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        let mut chunk = [0; 1024];
        let n = stream.read(&mut chunk).await.expect("no reset");
        assert!(n > 0, "the stream ends early: {}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8(received).expect("text")
}
