//! Calls of the program: the status and the ends of a handle, vectored writes, the end of a turn,
//! reports of panics.

use std::io::IoSlice;

use super::raw::{Callback, IRS, LOCAL, PEER, PEER_PORT, Raw, ack, segment_of, syn};
use super::stage::PORT;
use crate::metrics::Event;
use crate::shard::{CloseReason, Config, ConnId, Status};
use crate::wire::tcp::flag;

fn status(t: &mut Raw, conn: ConnId) -> Status {
    t.ask(move |io| io.status(conn))
}

#[test]
fn the_status_follows_an_active_open() {
    let mut t = Raw::new(|_| {});
    let syn_out = t.connect();
    let conn = t.conn();
    assert_eq!(status(&mut t, conn), Status::Opening);
    let mut answer = segment_of(flag::SYN | flag::ACK, IRS, syn_out.seq + 1);
    answer.dst_port = syn_out.port;
    t.receives(&answer, &[]);
    assert_eq!(status(&mut t, conn), Status::Open { peer_closed: false });
}

#[test]
fn the_status_tells_a_peer_that_closed_and_ends_as_stale() {
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    let conn = t.conn();
    assert_eq!(status(&mut t, conn), Status::Open { peer_closed: false });
    t.receives(&segment_of(flag::ACK | flag::FIN, IRS + 1, iss + 1), b"rest");
    assert_eq!(status(&mut t, conn), Status::Open { peer_closed: true });
    t.with_io(move |io| io.close(conn));
    t.receives(&ack(IRS + 6, iss + 2), &[]);
    // CLOSED, and the handle lives on until the rest is read.
    assert_eq!(status(&mut t, conn), Status::Open { peer_closed: true });
    assert_eq!(t.ask(move |io| io.endpoints(conn)), Some(ends()));
    t.with_io(move |io| {
        io.consume(conn, 4);
        assert_eq!(io.status(conn), Status::Closed(CloseReason::Finished));
    });
    assert_eq!(status(&mut t, conn), Status::Stale);
    assert_eq!(t.ask(move |io| io.endpoints(conn)), None);
}

#[test]
fn the_status_of_a_reset_connection_with_unread_data_is_open() {
    for keeps in [false, true] {
        let mut t = Raw::new(|config: &mut Config| config.settings.read_after_reset = keeps);
        let iss = t.accept();
        let conn = t.conn();
        t.receives(&segment_of(flag::ACK, IRS + 1, iss + 1), b"unread");
        t.receives(&segment_of(flag::RST, IRS + 7, 0), &[]);
        let expected = if keeps { Status::Open { peer_closed: true } } else { Status::Stale };
        assert_eq!(status(&mut t, conn), expected);
        t.with_io(move |io| {
            io.consume(conn, 6);
            if keeps {
                assert_eq!(io.status(conn), Status::Closed(CloseReason::Reset));
            }
        });
        assert_eq!(status(&mut t, conn), Status::Stale);
    }
}

#[test]
fn an_abort_shows_in_the_status_at_once_and_the_handle_does_not_name_its_successor() {
    let mut t = Raw::new(|_| {});
    t.accept();
    let conn = t.conn();
    t.with_io(move |io| {
        io.abort(conn);
        assert_eq!(io.status(conn), Status::Closed(CloseReason::Aborted));
    });
    assert_eq!(status(&mut t, conn), Status::Stale);
    t.sent();
    t.callbacks();
    t.accept();
    let next = t.conn();
    assert_eq!((next.index, next == conn), (conn.index, false), "the slot is reused");
    assert_eq!(status(&mut t, conn), Status::Stale);
    assert_eq!(t.ask(move |io| (io.endpoints(conn), io.peek(conn)[0].len())), (None, 0));
    assert_eq!(status(&mut t, next), Status::Open { peer_closed: false });
}

fn ends() -> (core::net::SocketAddr, core::net::SocketAddr) {
    ((LOCAL, PORT).into(), (PEER, PEER_PORT).into())
}

#[test]
fn the_ends_of_an_active_open_are_known_while_it_opens() {
    let mut t = Raw::new(|_| {});
    let syn_out = t.connect();
    let conn = t.conn();
    let expected = ((LOCAL, syn_out.port).into(), (PEER, PEER_PORT).into());
    assert_eq!(t.ask(move |io| io.endpoints(conn)), Some(expected));
}

/// Accepts a connection and returns its handle.
fn accepted(t: &mut Raw) -> ConnId {
    t.accept();
    t.conn()
}

#[test]
fn slices_leave_as_one_segment() {
    let mut t = Raw::new(|_| {});
    let conn = accepted(&mut t);
    let n = t.ask(move |io| {
        let slices = [&b"head"[..], b"", b"body", b"tail!"].map(IoSlice::new);
        io.write_slices(conn, &slices)
    });
    assert_eq!(n, 13);
    let sent = t.sent();
    assert_eq!(sent.iter().map(|got| got.len).collect::<Vec<_>>(), [13]);
    assert_ne!(sent[0].flags & flag::PSH, 0, "MUST-61: the last of the queued data");
}

#[test]
fn a_short_vectored_write_is_reported_and_room_follows() {
    let mut t = Raw::new(|config: &mut Config| {
        config.settings.send_buffer = 4096;
        config.settings.send_buffer_initial = 4096;
    });
    t.record_all();
    let syn_ack = {
        t.receives(&syn(), &[]);
        t.sent().remove(0)
    };
    t.receives(&ack(IRS + 1, syn_ack.seq + 1), &[]);
    let conn = t.conn();
    let n = t.ask(move |io| {
        let (first, second, third) = ([1; 3000], [2; 3000], [3; 10]);
        let slices = [&first[..], &second, &third].map(IoSlice::new);
        let n = io.write_slices(conn, &slices);
        assert_eq!(io.write_room(conn), 0, "nothing of the third follows a short second");
        n
    });
    assert_eq!(n, 4096);
    assert_eq!(t.sent().iter().map(|got| got.len).sum::<usize>(), 4000, "Nagle holds the rest");
    assert!(!t.callbacks().contains(&Callback::Writable));
    t.receives(&ack(IRS + 1, syn_ack.seq + 1 + 4000), &[]);
    let writable = t.callbacks().into_iter().filter(|got| *got == Callback::Writable);
    assert_eq!(writable.count(), 1);
    assert_eq!(t.ask(move |io| io.write_slices(conn, &[])), 0);
}

#[test]
fn the_end_of_a_turn_follows_events_and_timers_and_its_output_leaves_in_the_turn() {
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    let conn = t.conn();
    t.record_all();
    t.callbacks();
    t.at_turn_end(move |io| assert_eq!(io.write(conn, b"late"), 4));
    t.inject_segment(&segment_of(flag::ACK, IRS + 1, iss + 1), b"in");
    t.turn();
    assert_eq!(t.callbacks(), [Callback::Readable, Callback::Alarm, Callback::TurnEnd]);
    assert_eq!(t.sent().iter().map(|got| got.len).collect::<Vec<_>>(), [4]);
}

#[test]
fn an_event_that_the_end_of_a_turn_causes_is_reported_in_the_turn() {
    let mut t = Raw::new(|_| {});
    t.accept();
    let conn = t.conn();
    t.record_all();
    t.at_turn_end(move |io| io.abort(conn));
    t.turn();
    let end = [Callback::Alarm, Callback::TurnEnd, Callback::Closed(CloseReason::Aborted)];
    assert_eq!(t.callbacks(), end);
    assert_eq!(t.sent().len(), 1, "the reset");
}

#[test]
fn panics_are_counted_and_their_messages_bounded() {
    let mut t = Raw::new(|_| {});
    t.with_io(|io| {
        for number in 0..40 {
            io.report_panic(&format!("task {number}"));
        }
    });
    assert_eq!(t.shard.counters().counted(Event::ProgramPanic), 40);
    let messages: Vec<String> = core::iter::from_fn(|| t.shard.take_panic()).collect();
    assert_eq!(messages.len(), 16);
    assert_eq!(messages[0], "task 0", "the oldest first");
    t.with_io(|io| io.report_panic("later"));
    assert_eq!(t.shard.take_panic().as_deref(), Some("later"));
}

#[test]
fn a_service_learns_its_worker() {
    let mut t = Raw::new(|config: &mut Config| (config.worker, config.workers) = (2, 5));
    assert_eq!(t.ask(|io| io.worker()), (2, 5));
}
