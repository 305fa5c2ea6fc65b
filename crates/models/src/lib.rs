//! The rings between threads (`src/net/ring` of the library) under the model checker loom.
//!
//! Empty unless it is compiled with `--cfg loom`; `scripts/test` does.

#[cfg(loom)]
#[path = "../../../src/net/ring/mod.rs"]
pub mod ring;
