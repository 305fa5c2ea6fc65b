//! Connections beside the conversations that come and go at random: opens that are given up,
//! listeners that close with connections waiting, streams dropped, aborted and abandoned in the
//! middle of anything. Nothing checks their bytes; nothing of them may be left.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;

use super::departure::{Departure, panic_with};
use super::races::race;
use super::stage::Stage;
use crate::net::{TcpListener, TcpSocket, TcpStream, interval, sleep, spawn, timeout, yield_now};
use crate::rng::Rng;
use crate::sim::{Place, address};
use crate::time::Duration;

/// The port of its listeners.
const PORT: u16 = 13;

/// A byte that it sends.
const FILL: u8 = 0xc7;

fn millis(rng: &mut Rng, bound: u64) -> Duration {
    Duration::from_micros(rng.below(bound * 1000))
}

/// Begins the churn of a worker. It ends by itself, within a minute.
pub(super) fn begin(stage: &Rc<Stage>, place: Place) {
    let mut rng = stage.rng(3 << 40 | (place.0 as u64) << 8 | place.1 as u64);
    spawn(listen(Rc::clone(stage), place, Rng::new(rng.next_u64())));
    for _ in 0..rng.below(4) {
        spawn(open(Rc::clone(stage), place, Rng::new(rng.next_u64())));
    }
    spawn(tick(Rc::clone(stage), place, rng));
}

/// Listens for a while, several times, and accepts some of what comes.
async fn listen(stage: Rc<Stage>, place: Place, mut rng: Rng) {
    for _ in 0..rng.below(4) {
        let listener =
            match TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await {
                Ok(listener) => listener,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return stage.violated(|| "a dropped listener keeps its port".to_owned());
                }
                Err(_) => return,
            };
        if rng.happens(0.5) {
            listener.set_backlog(1 + rng.below(2) as usize);
        }
        for _ in 0..rng.below(5) {
            sleep(millis(&mut rng, 500)).await;
            let accepted = timeout(millis(&mut rng, 1000), listener.accept()).await;
            if let Ok(Ok((stream, _))) = accepted {
                spawn(endure(Rc::clone(&stage), place, Rng::new(rng.next_u64()), stream));
            }
        }
        drop(listener);
        sleep(millis(&mut rng, 200)).await;
    }
}

/// Opens a connection to another host, and gives up after a while.
async fn open(stage: Rc<Stage>, place: Place, mut rng: Rng) {
    let hosts = stage.scenario.hosts.len();
    let other = (place.0 + 1 + rng.below(hosts as u64 - 1) as usize) % hosts;
    let ipv6 = rng.happens(0.5);
    let target = SocketAddr::new(address(other, ipv6), PORT);
    sleep(millis(&mut rng, 3000)).await;
    let socket = TcpSocket::new().bind(address(place.0, ipv6));
    if let Ok(Ok(stream)) = timeout(millis(&mut rng, 300), socket.connect(target)).await {
        endure(stage, place, rng, stream).await;
    }
}

/// Uses a connection at random, and leaves it.
async fn endure(stage: Rc<Stage>, place: Place, mut rng: Rng, mut stream: TcpStream) {
    for _ in 0..rng.below(10) {
        let span = millis(&mut rng, 200);
        if timeout(span, act(&mut rng, &mut stream)).await.is_ok_and(|acted| acted.is_err()) {
            break;
        }
    }
    if rng.happens(0.2) {
        return panic_with(&stage, place, stream).await;
    }
    let span = Duration::from_micros(rng.below(2_000_000));
    let all = [Departure::Close, Departure::Within(span), Departure::Abort];
    let departure = all[rng.below(3) as usize];
    departure.prepare(&stream);
    if rng.happens(0.5) {
        return departure.leave(&stage, place, &mut rng, stream).await;
    }
    // The halves go at two times.
    let (reader, writer) = stream.into_split();
    if rng.happens(0.5) {
        departure.leave(&stage, place, &mut rng, reader).await;
        sleep(span).await;
        drop(writer);
    } else {
        departure.leave(&stage, place, &mut rng, writer).await;
        sleep(span).await;
        drop(reader);
    }
}

async fn act(rng: &mut Rng, stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 3000];
    let n = 1 + rng.below(buffer.len() as u64) as usize;
    match rng.below(8) {
        0 => drop(stream.read(&mut buffer[..n]).await?),
        1 => stream.write_all(&[FILL; 3000][..n]).await?,
        2 => {
            let (mut reader, mut writer) = stream.split();
            race(reader.read(&mut buffer), writer.write(&[FILL; 5])).await;
        }
        3 => drop(stream.peek(&mut buffer[..n]).await?),
        4 => stream.readable().await?,
        5 => stream.shutdown(Shutdown::Write)?,
        6 => stream.shutdown(Shutdown::Read)?,
        _ => sleep(millis(rng, 100)).await,
    }
    Ok(())
}

/// Spawns tasks that sleep, tick and end, and ends some of them early.
async fn tick(stage: Rc<Stage>, place: Place, mut rng: Rng) {
    for _ in 0..rng.below(10) {
        let (period, span) =
            (millis(&mut rng, 50) + Duration::from_micros(1), millis(&mut rng, 400));
        let ticking = spawn(async move {
            let mut ticks = interval(period);
            for _ in 0..4 {
                ticks.tick().await;
                yield_now().await;
            }
        });
        match rng.below(4) {
            0 => drop(timeout(span, ticking).await),
            1 => {
                sleep(span).await;
                ticking.abort();
            }
            2 => panic_with(&stage, place, ticking).await,
            _ => {
                if ticking.await.is_err() {
                    stage.violated(|| "a task that ticks was cancelled".to_owned());
                }
            }
        }
    }
}
