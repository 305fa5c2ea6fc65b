//! The seam between what runs (services, load patterns) and what it runs on: the choice of the stack.

use super::failure::Failure;
use super::job::{Job, Report};
use super::options::Stack;
use super::{engine, kernel};

/// Runs the job on the stack that its options name, until it ends.
///
/// # Errors
/// When the stack cannot be brought up.
pub fn run(job: &Job<'_>) -> Result<Report, Failure> {
    match job.options.stack {
        Stack::Linerate => engine::run(job),
        Stack::Kernel => kernel::run(job),
    }
}
