//! Tasks: spawned, polled under supervision, ended.

use core::any::Any;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use async_task::{FallibleTask, Runnable};
use pin_project_lite::pin_project;

use super::core::Core;
use super::current;
use super::queue::Shared;

/// The payload of a panic.
pub(in crate::net) type Payload = Box<dyn Any + Send>;

/// A task whose output is kept for a handle. `None` comes out of a task that was ended.
pub(in crate::net) type Task<T> = FallibleTask<Output<T>>;

/// The output of a task, or the panic that ended it. A destructor that panics when nothing takes
/// the output would end the process: it is caught here.
pub(in crate::net) struct Output<T>(Option<Result<T, Payload>>);

impl<T> Output<T> {
    pub(in crate::net) fn into_result(mut self) -> Result<T, Payload> {
        self.0.take().expect("an output is taken once")
    }
}

impl<T> Drop for Output<T> {
    fn drop(&mut self) {
        if let Some(output) = self.0.take()
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(output)))
            && let Some(core) = current::current()
        {
            report(&core, &*payload);
        }
    }
}

/// Number of times that ready tasks are polled within a turn: once, and again those that another
/// task woke, so that an answer that passes through a few tasks leaves in the same turn.
const ROUNDS: usize = 4;

/// A task's place in the registry, until the task ends.
struct Registered {
    core: Rc<Core>,
    number: u32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let waker = self.core.tasks.borrow_mut().remove(self.number);
        drop(waker);
    }
}

pin_project! {
    /// The future of a task. A panic ends it and is reported; its connections are reset.
    struct Supervised<F> {
        #[pin]
        future: Option<F>,
        registered: Registered,
    }

    impl<F> PinnedDrop for Supervised<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            end(&this.registered.core, this.future);
        }
    }
}

/// Drops the future of a task. A panic of a destructor is reported: beyond here it would end the
/// process.
fn end<F>(core: &Core, mut future: Pin<&mut Option<F>>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| future.set(None))) {
        report(core, &*payload);
    }
}

fn report(core: &Core, payload: &(dyn Any + Send)) {
    let message = message(payload);
    core.with_io(|io| io.report_panic(&message));
}

impl<F: Future> Future for Supervised<F> {
    type Output = Output<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(output) => Poll::Ready(Output(Some(Ok(ready!(output))))),
            Err(payload) => {
                let core = &this.registered.core;
                core.is_panicking.set(true);
                // A second panic, of a destructor, adds nothing that an operator could use.
                let _ = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                core.is_panicking.set(false);
                report(core, &*payload);
                Poll::Ready(Output(Some(Err(payload))))
            }
        }
    }
}

/// Returns the message of a panic, as `panic!` was given it.
pub(in crate::net) fn message(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(|message| (*message).to_owned());
    let formatted = || payload.downcast_ref::<String>().cloned();
    literal.or_else(formatted).unwrap_or_else(|| "no message".to_owned())
}

/// Spawns a task on an executor of this thread.
pub(in crate::net) fn spawn_on<F>(core: &Rc<Core>, future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let number = core.tasks.borrow().next();
    let registered = Registered { core: Rc::clone(core), number };
    let supervised = Supervised { future: Some(future), registered };
    let shared = Arc::clone(&core.shared);
    let schedule = move |task| schedule(&shared, task);
    let (task, handle) = async_task::spawn_local(supervised, schedule);
    core.tasks.borrow_mut().add(task.waker());
    if core.shared.is_closed() {
        // The executor ends: nothing would run it.
        drop(task);
    } else {
        core.ready.borrow_mut().push_back(task);
    }
    handle.fallible()
}

/// Queues a task that was woken: on this thread without atomics, elsewhere through the shared
/// queue.
fn schedule(shared: &Arc<Shared>, task: Runnable) {
    let mut task = Some(task);
    let local = |core: &Core| core.ready.borrow_mut().extend(task.take());
    if current::with_executor_of(shared, local).is_none()
        && let Some(task) = task
    {
        shared.push_woken(task);
    }
}

/// Polls the tasks that are ready.
pub(in crate::net) fn run_ready(core: &Core) {
    for _ in 0..ROUNDS {
        let tasks = core.ready.borrow().len();
        if tasks == 0 {
            return;
        }
        for _ in 0..tasks {
            let Some(task) = pop_ready(core) else { return };
            task.run();
        }
    }
}

fn pop_ready(core: &Core) -> Option<Runnable> {
    core.ready.borrow_mut().pop_front()
}

/// Moves what other threads have queued to this executor.
pub(in crate::net) fn collect_shared(core: &Rc<Core>) {
    while let Some(task) = core.shared.pop_woken() {
        core.ready.borrow_mut().push_back(task);
    }
    while let Some(job) = core.shared.pop_job() {
        spawn_on(core, job()).detach();
    }
    core.take_wake_listeners().into_iter().for_each(core::task::Waker::wake);
}

/// Ends all tasks: their futures are dropped. Called in the scope of the executor.
pub(in crate::net) fn end_all(core: &Rc<Core>) {
    core.shared.close();
    // A destructor may spawn or wake; each pass ends what it finds.
    while core.tasks.borrow().len() > 0 {
        core.clear_wakers();
        let wakers = core.tasks.borrow().wakers();
        wakers.into_iter().for_each(core::task::Waker::wake);
        while let Some(task) = core.shared.pop_woken() {
            core.ready.borrow_mut().push_back(task);
        }
        while let Some(task) = pop_ready(core) {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
        }
    }
    while let Some(job) = core.shared.pop_job() {
        drop(job);
    }
}
