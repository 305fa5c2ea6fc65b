//! Futures that poll two others, as `select!` and `join!` of other crates do.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

/// The future that has won a race.
pub(super) enum Winner<A, B> {
    First(A),
    Second(B),
}

/// Polls both until one is ready, and drops the other.
pub(super) async fn race<A: Future, B: Future>(
    first: A,
    second: B,
) -> Winner<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(output) = first.as_mut().poll(cx) {
            return Poll::Ready(Winner::First(output));
        }
        second.as_mut().poll(cx).map(Winner::Second)
    })
    .await
}

/// Polls a future once and drops it. Returns its output if it was ready.
pub(super) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
