//! Selects the stack that a job runs on: linerate or the kernel.

use super::failure::Failure;
use super::job::{Job, Report};
use super::options::Stack;
use super::{engine, kernel};

/// Runs the job to its end on the stack that its options select.
///
/// # Errors
/// When the stack cannot be started.
pub(crate) fn run(job: &Job<'_>) -> Result<Report, Failure> {
    match job.options.stack {
        Stack::Linerate => engine::run(job),
        Stack::Kernel => kernel::run(job),
    }
}
