//! Two threads under load, both of which sleep whenever they have nothing to do: nothing is lost,
//! duplicated or reordered, and no wake-up is lost (the test would not end).

use std::sync::mpsc;
use std::thread::{self, Thread};

use super::super::{
    Doorbell, Entry, PushError, Reader, SeatRings, Sleep, Sleeper, Wait, Writer, byte_ring,
    doorbell,
};

/// A small deterministic generator (xorshift) for lengths of batches.
struct Lengths(u64);

impl Lengths {
    /// Returns a number from 1 to `max`.
    fn next(&mut self, max: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % max as u64) as usize + 1
    }
}

/// Runs `one` and `other` in two threads, each with the handle of the other for waking it.
fn run_pair(one: impl FnOnce(Thread) + Send, other: impl FnOnce(Thread) + Send) {
    let (to_other, from_one) = mpsc::channel();
    let one_thread = thread::current();
    thread::scope(|scope| {
        scope.spawn(move || {
            to_other.send(thread::current()).expect("the test waits");
            other(one_thread);
        });
        one(from_one.recv().expect("the other thread starts"));
    });
}

fn numbered(number: u64) -> Entry {
    Entry { op: 7, stream: number as u32, arguments: [number, !number], ..Entry::default() }
}

/// Sends the numbers below `count` in batches and checks that each comes back once and in order.
fn client(mut seat: SeatRings, worker: &Thread, count: u64) {
    let mut lengths = Lengths(0x9e37_79b9);
    let (mut sent, mut received) = (0, 0);
    let mut batch = Vec::new();
    let mut taken = [Entry::default(); 24];
    while received < count {
        let length = lengths.next(24) as u64;
        batch.clear();
        batch.extend((sent..count.min(sent + length)).map(numbered));
        let pushed = seat.push_batch(&batch).expect("no lie");
        sent += pushed as u64;
        let popped = seat.pop_batch(&mut taken[..length as usize]).expect("no lie");
        for entry in &taken[..popped] {
            assert_eq!(*entry, numbered(received));
            received += 1;
        }
        seat.ring(|| worker.unpark());
        let wait = if sent < count { Wait::EntriesOrRoom } else { Wait::Entries };
        if pushed == 0 && popped == 0 && received < count && seat.announce_sleep(wait) == Sleep::Now
        {
            thread::park();
        }
    }
}

/// Sends `count` entries back one by one.
fn worker(mut seat: SeatRings, client: &Thread, count: u64) {
    let mut held = None;
    let mut returned = 0;
    while returned < count {
        if held.is_none() {
            held = seat.pop().expect("no lie");
        }
        let wait = match held.map(|entry| seat.push(entry)) {
            Some(Ok(())) => {
                returned += 1;
                held = None;
                // Rings once for several entries, and before each sleep.
                if returned % 7 == 0 {
                    seat.ring(|| client.unpark());
                }
                continue;
            }
            Some(Err(PushError::Full)) => Wait::EntriesOrRoom,
            Some(Err(PushError::Corrupt(lie))) => panic!("{lie}"),
            None => Wait::Entries,
        };
        seat.ring(|| client.unpark());
        if seat.announce_sleep(wait) == Sleep::Now {
            thread::park();
        }
    }
    seat.ring(|| client.unpark());
}

#[test]
fn no_entry_of_a_million_is_lost_duplicated_or_reordered() {
    const COUNT: u64 = 1_000_000;
    for (capacity, count) in [(64, COUNT), (4, COUNT / 20), (1, COUNT / 50)] {
        let (near, far) = SeatRings::pair(capacity).expect("memory");
        run_pair(|other| client(near, &other, count), |other| worker(far, &other, count));
    }
}

/// The byte at `position` of the stream that the test sends; its period is no power of two.
fn byte_at(position: usize) -> u8 {
    (position % 251) as u8
}

/// Writes `total` bytes in pieces and sleeps while the ring is full.
fn write_all(mut ring: Writer, other: &Thread, bells: (&Sleeper, &Doorbell), total: usize) {
    let mut lengths = Lengths(0x1234_5678);
    let mut position = 0;
    while position < total {
        let end = total.min(position + lengths.next(3_000));
        let piece: Vec<u8> = (position..end).map(byte_at).collect();
        let written = ring.write(&piece).expect("no lie");
        position += written;
        bells.1.ring(|| other.unpark());
        let mut room = || ring.room().expect("no lie");
        if written == 0 && bells.0.announce(|| Some(room()).filter(|&room| room > 0)).is_none() {
            thread::park();
        }
    }
}

/// Reads `total` bytes in pieces, checks each, and sleeps while the ring is empty.
fn read_all(mut ring: Reader, other: &Thread, bells: (&Sleeper, &Doorbell), total: usize) {
    let mut lengths = Lengths(0x8765_4321);
    let mut buffer = [0; 3_000];
    let mut position = 0;
    while position < total {
        let length = lengths.next(buffer.len());
        let read = ring.read(&mut buffer[..length]).expect("no lie");
        for &byte in &buffer[..read] {
            assert_eq!(byte, byte_at(position), "at {position}");
            position += 1;
        }
        bells.1.ring(|| other.unpark());
        let mut readable = || ring.readable().expect("no lie");
        if read == 0 && bells.0.announce(|| Some(readable()).filter(|&n| n > 0)).is_none() {
            thread::park();
        }
    }
}

#[test]
fn no_byte_of_many_millions_is_lost_duplicated_or_reordered() {
    for (len, total) in [(4096, 64 << 20), (32, 256 << 10)] {
        let (writer, reader) = byte_ring(len).expect("memory");
        let (sleeper_one, bell_one) = doorbell().expect("memory");
        let (sleeper_two, bell_two) = doorbell().expect("memory");
        run_pair(
            |other| write_all(writer, &other, (&sleeper_one, &bell_two), total),
            |other| read_all(reader, &other, (&sleeper_two, &bell_one), total),
        );
    }
}
