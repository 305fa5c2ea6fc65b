//! The ways to leave a connection: drop the stream, end the task that owns it, panic.

use core::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;

use super::stage::Stage;
use crate::net::{JoinError, TcpStream, spawn, yield_now};
use crate::rng::Rng;
use crate::sim::Place;
use crate::time::Duration;

/// The manner in which a side leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// Closes both directions.
    Close,
    /// Closes both, and resets after this time.
    Within(Duration),
    /// Resets the connection.
    Abort,
}

impl Departure {
    /// Prepares a stream: the manner takes effect when the stream is dropped.
    pub(super) fn prepare(self, stream: &TcpStream) {
        match self {
            Self::Close => {}
            Self::Within(span) => stream.set_linger(Some(span)),
            Self::Abort => stream.set_linger(Some(Duration::ZERO)),
        }
    }

    /// Drops a prepared stream, or its last half, by a way drawn at random.
    pub(super) async fn leave(
        self,
        stage: &Rc<Stage>,
        place: Place,
        rng: &mut Rng,
        owned: impl Sized + 'static,
    ) {
        match rng.below(3) {
            0 => {
                let owner = spawn(async move {
                    let _owned = owned;
                    pending::<()>().await;
                });
                if rng.happens(0.5) {
                    yield_now().await;
                }
                owner.abort();
            }
            1 if self == Self::Abort => panic_with(stage, place, owned).await,
            _ => drop(owned),
        }
    }
}

/// Drops a value by a panic of the task that owns it.
pub(super) async fn panic_with(stage: &Rc<Stage>, place: Place, owned: impl Sized + 'static) {
    stage.count_panic(place);
    let panicked = spawn(async move {
        let _owned = owned;
        yield_now().await;
        // Without the hook, which would print a message.
        resume_unwind(Box::new("a part of the play"));
    });
    match panicked.await {
        Err(JoinError::Panicked(_)) => {}
        _ => stage.violated(|| "a panic was not reported to the handle of its task".to_owned()),
    }
}
