//! The programs that run on the hosts of a scenario.

use std::rc::Rc;

use super::host::HostId;
use super::ledger::{Place, SharedLedger};
use super::runner::{Opening, ScriptRunner};
use super::scenario::{HostPlan, PORT};
use super::world::World;
use crate::shard::{ListenerConfig, Service};
use crate::time::Instant;

/// Creates the programs of a scenario and checks what they leave behind.
pub(crate) trait Programs {
    /// Creates the program of a worker, again after a crash, with the connections that it opens.
    fn program(
        &mut self,
        ledger: &SharedLedger,
        place: Place,
        openings: Vec<(Instant, Opening)>,
    ) -> Box<dyn Service>;

    /// Opens the listeners of a host whose programs do not open their own.
    fn listen(&self, world: &mut World, id: HostId, plan: &HostPlan);

    /// Ends the programs, once every conversation is over and nothing is left of it.
    ///
    /// # Errors
    /// The resource that they have left behind.
    fn end(&mut self, world: &mut World) -> Result<(), String>;
}

/// Programs that consist of callbacks.
#[derive(Debug)]
pub(super) struct Callbacks;

impl Programs for Callbacks {
    fn program(
        &mut self,
        ledger: &SharedLedger,
        place: Place,
        openings: Vec<(Instant, Opening)>,
    ) -> Box<dyn Service> {
        Box::new(ScriptRunner::new(Rc::clone(ledger), place, openings.into_iter()))
    }

    fn listen(&self, world: &mut World, id: HostId, plan: &HostPlan) {
        for worker in 0..plan.workers {
            let listener =
                ListenerConfig { backlog: plan.backlog, ..ListenerConfig::on_port(PORT) };
            world.host_mut(id).shard_mut(worker).listen(listener).expect("a free port");
        }
    }

    fn end(&mut self, _: &mut World) -> Result<(), String> {
        Ok(())
    }
}
