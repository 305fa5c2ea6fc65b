//! Sleeps, timeouts and intervals in virtual time.

use std::rc::Rc;

use super::streams::{accept_one, connect};
use super::support::{Log, millis, pair};
use crate::net::{Elapsed, interval, now, sleep, sleep_until, spawn, timeout};

/// Runs a program on a host that nothing else concerns.
fn alone(program: impl AsyncFnOnce() + 'static) {
    pair(async || {}, async move || program().await).run();
}

#[test]
fn sleeps_end_in_the_order_of_their_times() {
    alone(async || {
        let (log, before) = (Log::default(), now());
        let tasks = [(30, "third"), (10, "first"), (20, "second")].map(|(after, name)| {
            let log = Rc::clone(&log);
            spawn(async move {
                sleep(millis(after)).await;
                log.borrow_mut().push(name);
            })
        });
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(*log.borrow(), ["first", "second", "third"]);
        assert!(now() >= before + millis(30) && now() < before + millis(31));
    });
}

#[test]
fn a_timeout_ends_a_wait_and_leaves_the_data_of_a_race_to_the_next_read() {
    let server = async || {
        let mut stream = accept_one().await;
        for _ in 0..200 {
            sleep(millis(1)).await;
            stream.write_all(b"x").await.expect("room");
        }
    };
    let mut pair = pair(server, async || {
        let (mut stream, mut read, mut elapsed) = (connect().await, 0, 0);
        loop {
            match timeout(crate::time::Duration::from_micros(997), stream.read(&mut [0; 8])).await {
                Ok(n) => match n.expect("an open connection") {
                    0 => break,
                    n => read += n,
                },
                Err(Elapsed) => elapsed += 1,
            }
        }
        assert!(read == 200 && elapsed > 100, "{read} bytes, {elapsed} timeouts");
    });
    pair.run();
}

#[test]
fn a_result_in_the_turn_of_the_timeout_wins() {
    alone(async || {
        assert_eq!(timeout(millis(5), sleep(millis(5))).await, Ok(()));
        assert_eq!(timeout(millis(5), sleep(millis(6))).await, Err(Elapsed));
        assert_eq!(timeout(millis(0), async { 7 }).await, Ok(7));
    });
}

#[test]
fn an_interval_ticks_at_its_period_and_catches_up() {
    alone(async || {
        let (start, mut ticks) = (now(), interval(millis(10)));
        for tick in 0..3 {
            assert_eq!(ticks.tick().await, start + millis(10 * tick));
        }
        sleep(millis(35)).await;
        for tick in 3..6 {
            assert_eq!(ticks.tick().await, start + millis(10 * tick));
        }
        assert!(now() < start + millis(56));
        ticks.tick().await;
        assert!(now() >= start + millis(60));
    });
}

#[test]
fn a_sleep_that_was_reset_ends_at_its_new_time() {
    alone(async || {
        let start = now();
        let mut nap = sleep(millis(10));
        assert!(super::support::poll_once(&mut nap).await.is_none());
        nap.reset(start + millis(50));
        nap.await;
        assert!(now() >= start + millis(50));
        let mut later = sleep(millis(1000));
        assert!(super::support::poll_once(&mut later).await.is_none());
        later.reset(now() + millis(1));
        later.await;
        assert!(now() < start + millis(60));
    });
}

#[test]
fn a_dropped_sleep_removes_its_timer() {
    let mut pair = pair(
        async || {},
        async || {
            for _ in 0..100 {
                assert!(timeout(millis(1000), sleep(millis(1))).await.is_ok());
            }
            std::future::pending::<()>().await;
        },
    );
    pair.run_for(millis(50));
    assert_eq!(pair.census()[1].timers, 2, "a timeout and a sleep that go on");
    pair.run_for(millis(200));
    assert_eq!(pair.census()[1].timers, 0);
}

#[test]
fn an_earlier_timer_moves_the_alarm_forward() {
    alone(async || {
        let start = now();
        let late = spawn(async { sleep(millis(100)).await });
        sleep(millis(1)).await;
        sleep(millis(2)).await;
        assert!(now() < start + millis(4));
        late.await.expect("no panic");
        assert!(now() >= start + millis(100) && now() < start + millis(101));
    });
}

#[test]
fn many_timers_share_one_alarm() {
    let mut pair = pair(
        async || {},
        async || {
            let start = now();
            let at = move |n: u64| start + millis(1 + n * 7 % 50);
            let tasks = (0..1000).map(|n| {
                spawn(async move {
                    sleep_until(at(n)).await;
                    assert!(now() >= at(n) && now() < at(n) + millis(1));
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.expect("no panic");
            }
            assert!(now() < start + millis(52));
        },
    );
    pair.run();
    assert_eq!(pair.census()[1].timers, 0);
}
