//! The state of a shard, in its parts. The steps are in the rooms `rx`, `tx` and `app`, and in
//! `turn`.
//!
//! The service gets the engine as its [`Io`](crate::shard::Io), so the engine holds neither the
//! link nor the service: a turn borrows both.

use crate::limits::{CONNECTIONS_MAX, Limits};
use crate::metrics::Counters;
use crate::shard::config::Config;
use crate::shard::flow::endpoint::Endpoint;
use crate::shard::flow::secrets::Secrets;
use crate::shard::flow::service_state::ServiceState;
use crate::shard::flow::workers::Workers;
use crate::shard::ip::layer::Ip;
use crate::shard::mem::turn_state::TurnState;
use crate::time::Instant;

/// The shard's state.
pub(in crate::shard) struct Engine {
    pub(in crate::shard) turn: TurnState,
    pub(in crate::shard) tcp: Endpoint,
    pub(in crate::shard) ip: Ip,
    pub(in crate::shard) workers: Workers,
    pub(in crate::shard) service: ServiceState,
}

impl Engine {
    pub(in crate::shard) fn new(config: Config) -> Self {
        let connections = config.limits.connections.clamp(1, CONNECTIONS_MAX);
        let limits = Limits { connections, ..config.limits };
        let secrets = Secrets::new(&config.secret);
        Self {
            turn: TurnState { now: Instant::ZERO, counters: Counters::default() },
            tcp: Endpoint::new(&config, &limits, &secrets),
            ip: Ip::new(&config, &limits, &secrets),
            workers: Workers {
                this: config.worker,
                count: config.workers.max(1),
                steering: config.steering,
            },
            service: ServiceState::default(),
        }
    }

    /// Begins a turn.
    pub(in crate::shard) fn begin(&mut self, now: Instant) {
        self.turn.now = now;
        self.tcp.challenges.refill(now);
    }
}
