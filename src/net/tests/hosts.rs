//! Several executors on one thread, and an executor beside another service.

use std::rc::Rc;

use super::streams::{connect, echo};
use super::support::{Log, add, config, millis, pair};
use crate::net::{Executor, TcpListener, TcpStream, sleep, spawn, worker};
use crate::shard::{ConnId, Io, ListenerConfig, ListenerId, Service, ServiceMux};
use crate::sim::{World, WorldConfig};

#[test]
fn a_stream_belongs_to_the_executor_that_opened_it() {
    let kept = Log::default();
    let (keeper, user) = (Rc::clone(&kept), Rc::clone(&kept));
    let server = async move || {
        spawn(echo());
        sleep(millis(10)).await;
        let stream = user.borrow_mut().pop();
        let mut stream: TcpStream = stream.expect("the stream of the client");
        stream.write_all(b"x").await.expect_err("a stream of another executor");
        drop(stream);
        sleep(millis(1000)).await;
    };
    let mut pair = pair(server, async move || {
        let kept = connect().await;
        keeper.borrow_mut().push(kept);
        sleep(millis(20)).await;
    });
    pair.run();
    pair.run_for(millis(1));
    assert_eq!((pair.client().connections(), pair.server().connections()), (0, 0));
}

#[test]
fn a_task_is_polled_by_its_own_executor_whoever_wakes_it() {
    let handles = Log::default();
    let (giver, taker) = (Rc::clone(&handles), Rc::clone(&handles));
    let mut pair = pair(
        async move || {
            giver.borrow_mut().push(spawn(async {
                sleep(millis(50)).await;
                spawn(async { 7 }).await.expect("an output")
            }));
            sleep(millis(100)).await;
        },
        async move || {
            sleep(millis(10)).await;
            let handle = taker.borrow_mut().pop().expect("a handle of the other executor");
            assert_eq!(handle.await.expect("an output"), 7);
        },
    );
    pair.run();
}

#[test]
fn each_worker_of_a_host_has_its_own_executor() {
    let mut world = World::new(WorldConfig::default());
    let host_config = config(&mut world, 1);
    let served = Log::default();
    let services: Vec<Box<dyn Service>> = (0..2)
        .map(|number| -> Box<dyn Service> {
            let served = Rc::clone(&served);
            Box::new(Executor::new(async move || {
                assert_eq!(worker(), (number, 2));
                let listener = TcpListener::bind("10.0.0.1:7").await.expect("a free port");
                while let Ok((mut stream, _)) = listener.accept().await {
                    served.borrow_mut().push(number);
                    stream.write_all(b"x").await.expect("room");
                }
            }))
        })
        .collect();
    world.add_host(&host_config, services);
    let client = add(
        &mut world,
        2,
        Executor::new(async || {
            for _ in 0..20 {
                connect().await.read_exact(&mut [0; 1]).await.expect("a byte");
            }
        }),
    );
    assert!(world.run(millis(10_000), |world| world.host(client).has_stopped(0)));
    assert!(served.borrow().contains(&0) && served.borrow().contains(&1));
}

/// Sends a line to each connection of its listener, and closes.
struct Daytime;

impl Service for Daytime {
    fn on_start(&mut self, io: &mut dyn Io) {
        io.listen(&ListenerConfig::on_port(13)).expect("a free port");
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        io.write(conn, b"a line");
        io.close(conn);
    }
}

#[test]
fn an_executor_lives_beside_another_service() {
    let mut world = World::new(WorldConfig::default());
    let host_config = config(&mut world, 1);
    let server = Executor::new(async || {
        spawn(async {
            loop {
                sleep(millis(1)).await;
            }
        });
        echo().await;
    });
    let mux = ServiceMux::new(vec![Box::new(Daytime), Box::new(server)]);
    world.add_host(&host_config, vec![Box::new(mux)]);
    let client = add(
        &mut world,
        2,
        Executor::new(async || {
            for _ in 0..3 {
                let mut line = Vec::new();
                let mut daytime = TcpStream::connect("10.0.0.1:13").await.expect("a service");
                daytime.read_to_end(&mut line).await.expect("a line");
                assert_eq!(line, b"a line");
                let mut stream = connect().await;
                stream.write_all(b"hello").await.expect("room");
                stream.read_exact(&mut [0; 5]).await.expect("an echo");
            }
        }),
    );
    assert!(world.run(millis(10_000), |world| world.host(client).has_stopped(0)));
}
