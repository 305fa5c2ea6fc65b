//! Scenarios of the simulator ([`Scenario`](crate::sim::Scenario)) in which every program is an
//! async one.
//!
//! The scripts are those of [`sim`](crate::sim); tasks execute them, by all the ways in which a
//! task can read, write, wait and go away: futures that are dropped half-way, accepts that are
//! cancelled, timeouts that race data, aborted and panicking tasks, drains. The invariants are the
//! same, and at the end no executor holds anything.
//!
//! | file | |
//! |---|---|
//! | `programs` | creates the executors, ends them, and checks what they leave |
//! | `stage` | what the programs of a world share |
//! | `witness` | the service around an executor that records how connections end |
//! | `program` | the first future of a worker: accepts and opens |
//! | `part` | one side of a conversation, from its stream to its end |
//! | `shapes` | how a side divides its stream: halves, tasks, races |
//! | `writing`, `reading` | the steps of a script, by a way drawn at random |
//! | `halves` | the methods that streams and their halves have alike |
//! | `departure` | the ways to leave a connection |
//! | `churn` | connections beside the conversations that come and go at random |
//! | `races` | futures that poll two others |

mod churn;
mod departure;
mod halves;
mod part;
mod program;
mod programs;
mod races;
mod reading;
mod shapes;
mod stage;
mod witness;
mod writing;

pub use programs::run_scenario;
