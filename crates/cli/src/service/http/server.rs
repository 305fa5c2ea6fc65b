//! The connections of a worker: accepts them until the stack drains, then asks them to close.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use linerate::net::{Executor, TcpListener, spawn};
use linerate::shard::{ListenerId, Service};

use super::connection::serve;
use super::connections::Connections;
use super::site::Site;

/// Creates the HTTP service of one worker, on a listener that the stack has opened.
pub(crate) fn service(site: &Arc<Site>, listener: ListenerId, port: u16) -> Box<dyn Service> {
    let site = Arc::clone(site);
    Box::new(Executor::new(async move || {
        let listener = TcpListener::configured(listener, port).expect("a task of a worker");
        accept(listener, site).await;
    }))
}

/// Accepts connections until the stack drains. Never returns: the stack ends the worker once its
/// connections are closed, and other services may run beside this one.
pub(super) async fn accept(listener: TcpListener, site: Arc<Site>) {
    let connections = Rc::new(Connections::default());
    while let Ok((stream, _)) = listener.accept().await {
        spawn(serve(stream, Arc::clone(&site), Rc::clone(&connections)));
    }
    connections.close();
    pending().await
}
