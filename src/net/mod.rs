//! Programs and the stack: the rings between a program's thread and a worker.

pub mod ring;
