//! Tasks: outputs, aborts, panics, wakes, and the end of the first future.

use core::future::{pending, poll_fn};
use core::task::Poll;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::rc::Rc;

use super::streams::{connect, echo};
use super::support::{Log, SERVER, millis, pair};
use crate::net::{JoinError, TcpListener, now, sleep, spawn, yield_now};
use crate::time::Duration;

/// Panics without the message of the hook.
fn planned_panic() -> ! {
    resume_unwind(Box::new("planned"))
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        planned_panic();
    }
}

#[test]
fn a_handle_returns_the_output_of_its_task_or_why_there_is_none() {
    let mut pair = pair(
        async || {},
        async || {
            assert_eq!(spawn(async { 7 }).await.expect("an output"), 7);
            let endless = spawn(pending::<()>());
            yield_now().await;
            assert!(!endless.is_finished());
            endless.abort();
            assert!(endless.is_finished());
            assert!(matches!(endless.await, Err(JoinError::Cancelled)));
            let ended = spawn(async { 7 });
            yield_now().await;
            ended.abort();
            assert_eq!(ended.await.expect("it had ended"), 7);
            let outer = spawn(async { spawn(async { 8 }).await.expect("an output") });
            assert_eq!(outer.await.expect("an output"), 8);
        },
    );
    pair.run();
}

#[test]
fn an_aborted_task_drops_what_it_owns_and_a_dropped_handle_lets_it_go_on() {
    let dropped = Rc::new(());
    let (kept, counted) = (Rc::clone(&dropped), Rc::clone(&dropped));
    let mut pair = pair(
        async || {},
        async move || {
            let task = spawn(async move {
                let _kept = kept;
                pending::<()>().await;
            });
            sleep(millis(1)).await;
            task.abort();
            sleep(millis(1)).await;
            assert_eq!(Rc::strong_count(&counted), 2, "the test and this future own it");
            let log = Log::default();
            let writer = Rc::clone(&log);
            drop(spawn(async move {
                sleep(millis(1)).await;
                writer.borrow_mut().push("went on");
            }));
            sleep(millis(2)).await;
            assert_eq!(*log.borrow(), ["went on"]);
        },
    );
    pair.run();
    assert_eq!(Rc::strong_count(&dropped), 1);
}

#[test]
fn a_panic_resets_the_connections_of_its_task_and_is_reported() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        let (mut first, _) = listener.accept().await.expect("a client");
        let (mut second, _) = listener.accept().await.expect("a client");
        let (halved, _) = listener.accept().await.expect("a client");
        let panicked = spawn(async move {
            first.write_all(b"x").await.expect("room");
            sleep(millis(1)).await;
            planned_panic();
        });
        let error = panicked.await.expect_err("a panic");
        assert!(error.to_string().contains("planned"), "{error}");
        assert_eq!(error.into_panic().expect("a payload").downcast_ref(), Some(&"planned"));
        let (_reader, writer) = halved.into_split();
        let half = spawn(async move {
            let _writer = writer;
            planned_panic();
        });
        half.await.expect_err("a panic");
        second.write_all(b"alive").await.expect("room");
        pending::<()>().await;
    };
    let mut pair = pair(server, async || {
        let (mut first, mut second, mut halved) =
            (connect().await, connect().await, connect().await);
        first.read_exact(&mut [0; 1]).await.expect("a byte");
        let reset = first.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert_eq!(reset, Err(ErrorKind::ConnectionReset));
        let reset = halved.read(&mut [0; 1]).await.map_err(|error| error.kind());
        assert_eq!(reset, Err(ErrorKind::ConnectionReset));
        second.read_exact(&mut [0; 5]).await.expect("the other task lives");
    });
    pair.run_for(millis(1000));
    assert_eq!(pair.panics(), [2, 0]);
    assert!(pair.world.host(pair.client).has_stopped(0));
}

#[test]
fn a_stream_with_a_linger_that_a_panic_drops_leaves_nothing() {
    let mut pair = pair(echo, async || {
        let stream = connect().await;
        stream.set_linger(Some(millis(1000)));
        let panicked = spawn(async move {
            let _stream = stream;
            planned_panic();
        });
        panicked.await.expect_err("a panic");
        pending::<()>().await;
    });
    pair.run_for(millis(100));
    assert_eq!(pair.panics(), [0, 1]);
    assert_eq!((pair.census()[1].lingers, pair.client().connections()), (0, 0));
}

#[test]
fn destructors_that_panic_end_nothing_else() {
    let mut pair = pair(
        async || {},
        async || {
            let aborted = spawn(async {
                let _bomb = Bomb;
                pending::<()>().await;
            });
            sleep(millis(1)).await;
            aborted.abort();
            sleep(millis(1)).await;
            drop(spawn(async { Bomb }));
            sleep(millis(1)).await;
            let during = spawn(async {
                let _bomb = Bomb;
            });
            assert!(matches!(during.await, Err(JoinError::Panicked(_))));
            drop(spawn(async {
                let _bomb = Bomb;
                pending::<()>().await;
            }));
        },
    );
    pair.run_for(millis(100));
    assert!(pair.world.host(pair.client).has_stopped(0));
    assert_eq!(pair.panics(), [0, 4]);
    assert_eq!(pair.census()[1].tasks, 0);
}

#[test]
fn a_panic_of_the_first_future_ends_the_program() {
    let mut pair = pair(echo, async || {
        let _stream = connect().await;
        planned_panic();
    });
    pair.run_for(millis(100));
    assert!(pair.world.host(pair.client).has_stopped(0));
    assert_eq!((pair.panics(), pair.client().connections()), ([0, 1], 0));
}

#[test]
fn tasks_that_yield_take_turns() {
    let mut pair = pair(
        async || {},
        async || {
            let log = Log::default();
            let tasks = ["a", "b"].map(|name| {
                let log = Rc::clone(&log);
                spawn(async move {
                    for _ in 0..3 {
                        log.borrow_mut().push(name);
                        yield_now().await;
                    }
                })
            });
            for task in tasks {
                task.await.expect("no panic");
            }
            assert_eq!(log.borrow().concat(), "ababab");
        },
    );
    pair.run();
}

#[test]
fn a_task_that_always_yields_does_not_stop_the_others() {
    let mut pair = pair(echo, async || {
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        let mut stream = connect().await;
        stream.write_all(b"hello").await.expect("room");
        stream.read_exact(&mut [0; 5]).await.expect("an echo");
        sleep(millis(1)).await;
        busy.abort();
    });
    pair.run();
}

#[test]
fn a_chain_of_wakes_longer_than_a_turn_finishes() {
    let mut pair = pair(
        async || {},
        async || {
            let mut last = spawn(async { 0 });
            for _ in 0..100 {
                let former = last;
                last = spawn(async move { former.await.expect("no panic") + 1 });
            }
            let before = now();
            assert_eq!(last.await.expect("no panic"), 100);
            assert!(now() < before + millis(1));
        },
    );
    pair.run();
}

#[test]
fn the_end_of_the_first_future_ends_all_tasks_and_closes_their_connections() {
    let mut pair = pair(echo, async || {
        for _ in 0..3 {
            let stream = connect().await;
            spawn(async move {
                let _stream = stream;
                sleep(Duration::from_secs(1000)).await;
            });
        }
        let listener = TcpListener::bind("0.0.0.0:9").await.expect("a free port");
        spawn(async move { listener.accept().await.map(|_| ()) });
        yield_now().await;
    });
    pair.run();
    assert_eq!(pair.census()[1], crate::net::executor::census::Census::default());
    pair.run_for(millis(10));
    assert_eq!((pair.client().connections(), pair.server().connections()), (0, 0));
}

#[test]
fn a_task_that_another_thread_wakes_runs() {
    let (waiting, wakers) = std::sync::mpsc::channel();
    let (answer, answers) = std::sync::mpsc::channel::<u32>();
    let mut pair = pair(
        async || {},
        async move || {
            let received = poll_fn(|cx| match answers.try_recv() {
                Ok(answer) => Poll::Ready(answer),
                Err(_) => {
                    waiting.send(cx.waker().clone()).expect("a thread");
                    Poll::Pending
                }
            });
            assert_eq!(received.await, 7);
        },
    );
    let thread = std::thread::spawn(move || {
        let waker: core::task::Waker = wakers.recv().expect("a task that waits");
        answer.send(7).expect("a task that waits");
        waker.wake();
    });
    pair.run_for(millis(10));
    thread.join().expect("no panic");
    pair.run();
}

#[test]
fn a_waker_may_outlive_its_task_and_its_executor() {
    let kept = Log::default();
    let keeper = Rc::clone(&kept);
    let mut pair = pair(
        async || {},
        async move || {
            poll_fn(|cx| {
                keeper.borrow_mut().push(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
        },
    );
    pair.run();
    let waker = kept.borrow_mut().pop().expect("a waker");
    waker.wake_by_ref();
    pair.run_for(millis(10));
    drop(pair);
    waker.wake();
}
