//! The ways in which a side divides its stream between reader and writer.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::io;
use std::rc::Rc;

use super::departure::Departure;
use super::part::{Part, Shape};
use super::races::{Winner, race};
use super::reading::Portion;
use super::writing::{Cursor, Stepped};
use crate::net::{TcpStream, spawn};

/// Executes a side's script on its stream, to the end of the stream.
pub(super) async fn perform(part: Rc<Part>, mut stream: TcpStream) {
    if part.echoes() {
        let (mut reader, mut writer) = stream.split();
        check(&part, part.echo_steps(&mut reader, &mut writer).await.map(|()| None));
        return;
    }
    let departure = match part.shape {
        Shape::TwoTasks => return two_tasks(part, stream).await,
        Shape::Joined => {
            let (mut reader, mut writer) = stream.split();
            both(part.read_all(&mut reader), part.write_steps(&mut writer)).await
        }
        Shape::Raced => raced(&part, &mut stream).await,
    };
    match check(&part, departure) {
        Some(Departure::Abort) if part.below(3) == 0 => stream.abort(),
        Some(departure) => {
            departure.prepare(&stream);
            leave(&part, departure, stream).await;
        }
        None => drop(stream),
    }
}

/// Checks the error of a side that failed. Returns the departure of one that leaves.
fn check(part: &Part, result: io::Result<Option<Departure>>) -> Option<Departure> {
    result.unwrap_or_else(|error| {
        part.check_error(&error);
        None
    })
}

async fn leave(part: &Part, departure: Departure, owned: impl Sized + 'static) {
    let mut rng = part.stage.rng(part.below(u64::MAX));
    departure.leave(&part.stage, part.place, &mut rng, owned).await;
}

/// Polls reader and writer until both are over, one fails, or the writer leaves.
async fn both(
    reader: impl Future<Output = io::Result<()>>,
    writer: impl Future<Output = io::Result<Option<Departure>>>,
) -> io::Result<Option<Departure>> {
    let (mut reader, mut writer) = (pin!(reader), pin!(writer));
    let (mut has_read, mut has_written) = (false, false);
    poll_fn(|cx| {
        if !has_written && let Poll::Ready(result) = writer.as_mut().poll(cx) {
            match result {
                Ok(None) => has_written = true,
                over => return Poll::Ready(over),
            }
        }
        if !has_read && let Poll::Ready(result) = reader.as_mut().poll(cx) {
            if let Err(error) = result {
                return Poll::Ready(Err(error));
            }
            has_read = true;
        }
        if has_read && has_written { Poll::Ready(Ok(None)) } else { Poll::Pending }
    })
    .await
}

/// Reads and writes in one task: whichever is ready first drops the other half-way.
async fn raced(part: &Part, stream: &mut TcpStream) -> io::Result<Option<Departure>> {
    let mut cursor = Cursor::default();
    let (mut has_read, mut has_written) = (false, false);
    while !(has_read && has_written) {
        let (mut reader, mut writer) = stream.split();
        let winner = if has_written {
            Winner::First(part.read_portion(&mut reader).await)
        } else if has_read {
            Winner::Second(part.step(&mut cursor, &mut writer).await)
        } else {
            race(part.read_portion(&mut reader), part.step(&mut cursor, &mut writer)).await
        };
        match winner {
            Winner::First(portion) => has_read = portion? == Portion::End,
            Winner::Second(step) => match step? {
                Stepped::Next => {}
                Stepped::Over => has_written = true,
                Stepped::Leaves(departure) => return Ok(Some(departure)),
            },
        }
    }
    Ok(None)
}

/// Reads in one task and writes in another.
async fn two_tasks(part: Rc<Part>, stream: TcpStream) {
    let (mut reader, mut writer) = stream.into_split();
    let reading = spawn({
        let part = Rc::clone(&part);
        async move { (part.read_all(&mut reader).await, reader) }
    });
    let writing = spawn({
        let part = Rc::clone(&part);
        async move { (part.write_steps(&mut writer).await, writer) }
    });
    let Ok((written, writer)) = writing.await else {
        return part.violated("a writer was cancelled");
    };
    if let Some(departure) = check(&part, written) {
        reading.abort();
        departure.prepare(writer.as_ref());
        return leave(&part, departure, writer).await;
    }
    match reading.await {
        Ok((read, reader)) => {
            check(&part, read.map(|()| None));
            if reader.reunite(writer).is_err() {
                part.violated("the halves of one stream do not belong together");
            }
        }
        Err(_) => part.violated("a reader was cancelled"),
    }
}
