//! What is known of the conversations of a scenario, by the programs at both ends and by who watches them.
//!
//! The programs write down what they did and were told; the first thing that cannot be is kept as the
//! violation.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use super::script::{Kind, Script, Step};
use crate::shard::{CloseReason, ConnId};

/// Where a program runs: host and worker.
pub(super) type Place = (usize, usize);

/// What is known of one end of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) script: Script,
    /// Whose content it sends: its own, or that of the peer whom it echoes.
    pub(super) speaks: u32,
    pub(super) conn: Option<(Place, ConnId)>,
    /// Bytes that the stack has taken.
    pub(super) written: u64,
    /// Bytes read.
    pub(super) read: u64,
    pub(super) peer_closed: bool,
    /// It was told of the end, or its host crashed.
    pub(super) end: Option<End>,
}

/// How a side came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Told(CloseReason),
    Crashed,
    /// No connection could be opened.
    NeverBegun,
}

impl Side {
    fn new(script: Script, speaks: u32) -> Self {
        Self { script, speaks, conn: None, written: 0, read: 0, peer_closed: false, end: None }
    }

    pub(super) const fn is_live(&self) -> bool {
        self.conn.is_some() && self.end.is_none()
    }
}

/// A conversation: the opener's side and the other's.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) kind: Kind,
    pub(super) sides: [Side; 2],
}

/// All conversations.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) talks: Vec<Talk>,
    /// By the opener's end and the other's.
    ends: BTreeMap<(SocketAddr, SocketAddr), usize>,
    /// Connections that were accepted though their conversation was over: old SYNs whose cookie came back.
    pub(super) phantoms: usize,
    violation: Option<String>,
}

/// A ledger that all programs share.
pub(super) type SharedLedger = Rc<RefCell<Ledger>>;

impl Ledger {
    pub(super) fn enter(&mut self, kind: Kind, [opener, other]: [Script; 2]) {
        let opens = self.talks.len() as u32 * 2;
        let answers = opens + u32::from(!other.steps.contains(&Step::Echo));
        let sides = [Side::new(opener, opens), Side::new(other, answers)];
        self.talks.push(Talk { kind, sides });
    }

    /// Keeps the first thing that cannot be.
    pub(super) fn violated(&mut self, what: impl FnOnce() -> String) {
        self.violation.get_or_insert_with(what);
    }

    pub(super) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// A connection was opened for a side.
    pub(super) fn opened(
        &mut self,
        (talk, side): (usize, usize),
        conn: (Place, ConnId),
        ends: (SocketAddr, SocketAddr),
    ) {
        self.talks[talk].sides[side].conn = Some(conn);
        if side == 0 {
            self.ends.insert(ends, talk);
        }
    }

    /// A connection was accepted from `remote` at `local`; gives the conversation, if it is one that waits.
    pub(super) fn accepted(
        &mut self,
        conn: (Place, ConnId),
        (remote, local): (SocketAddr, SocketAddr),
    ) -> Option<usize> {
        let Some(talk) = self.ends.get(&(remote, local)).copied() else {
            self.violated(|| format!("{local} accepted {remote}, which nobody opened"));
            return None;
        };
        let side = &mut self.talks[talk].sides[1];
        if side.conn.is_some() || side.end.is_some() {
            self.phantoms += 1;
            return None;
        }
        side.conn = Some(conn);
        Some(talk)
    }

    /// A host has crashed: its sides are over.
    pub(super) fn crashed(&mut self, host: usize) {
        let sides = self.talks.iter_mut().flat_map(|talk| &mut talk.sides);
        for side in sides.filter(|side| side.is_live()) {
            if side.conn.is_some_and(|((at, _), _)| at == host) {
                side.end = Some(End::Crashed);
            }
        }
    }

    /// Whether nothing more is to come: every opener is at its end, and every other that ever began.
    pub(super) fn is_over(&self) -> bool {
        let over = |talk: &Talk| talk.sides[0].end.is_some() && !talk.sides[1].is_live();
        self.talks.iter().all(over)
    }
}
