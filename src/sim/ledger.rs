//! The record of a scenario's conversations, shared by the programs at both ends and the checker.
//!
//! The programs record what they did and which events they received. The ledger keeps the first
//! violation.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use super::script::{Kind, Script, Step};
use crate::shard::{CloseReason, ConnId};

/// The host and worker on which a program runs.
pub(crate) type Place = (usize, usize);

/// One end of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) script: Script,
    /// The content that it sends (see [`content`](super::script::content)): its own, or the peer's
    /// that it echoes.
    pub(crate) stream: u32,
    pub(crate) conn: Option<(Place, ConnId)>,
    /// Bytes that the stack has accepted.
    pub(crate) written: u64,
    /// Bytes read.
    pub(crate) read: u64,
    pub(crate) peer_closed: bool,
    /// Set when its connection has closed or its host has crashed.
    pub(crate) end: Option<End>,
}

/// The end of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The stack reported that the connection has closed.
    Closed(CloseReason),
    Crashed,
    /// The connection could not be opened.
    NeverOpened,
}

impl Side {
    fn new(script: Script, stream: u32) -> Self {
        Self { script, stream, conn: None, written: 0, read: 0, peer_closed: false, end: None }
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.conn.is_some() && self.end.is_none()
    }
}

/// A conversation: the side that opens and the other one.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) kind: Kind,
    pub(crate) sides: [Side; 2],
}

/// All conversations.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) conversations: Vec<Conversation>,
    /// By the addresses of the opener and of the other side.
    ends: BTreeMap<(SocketAddr, SocketAddr), usize>,
    /// Connections that were accepted after their conversation was over: delayed SYNs that were
    /// answered by cookies.
    pub(crate) stale_accepts: usize,
    violation: Option<String>,
}

/// A ledger shared by all programs.
pub(crate) type SharedLedger = Rc<RefCell<Ledger>>;

impl Ledger {
    /// Adds a conversation with the scripts of both sides.
    pub(crate) fn add(&mut self, kind: Kind, [opener, other]: [Script; 2]) {
        let opener_stream = self.conversations.len() as u32 * 2;
        let other_stream = opener_stream + u32::from(!other.steps.contains(&Step::Echo));
        let sides = [Side::new(opener, opener_stream), Side::new(other, other_stream)];
        self.conversations.push(Conversation { kind, sides });
    }

    /// Records a violation. The first one stays.
    pub(crate) fn violated(&mut self, what: impl FnOnce() -> String) {
        self.violation.get_or_insert_with(what);
    }

    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Records that a side has opened a connection.
    pub(crate) fn opened(
        &mut self,
        (conversation, side): (usize, usize),
        conn: (Place, ConnId),
        ends: (SocketAddr, SocketAddr),
    ) {
        self.conversations[conversation].sides[side].conn = Some(conn);
        if side == 0 {
            self.ends.insert(ends, conversation);
        }
    }

    /// Records that `local` has accepted a connection from `remote`. Returns its conversation, if
    /// that is waiting for one.
    pub(crate) fn accepted(
        &mut self,
        conn: (Place, ConnId),
        (remote, local): (SocketAddr, SocketAddr),
    ) -> Option<usize> {
        let Some(conversation) = self.ends.get(&(remote, local)).copied() else {
            self.violated(|| format!("{local} accepted {remote}, which no program opened"));
            return None;
        };
        let side = &mut self.conversations[conversation].sides[1];
        if side.conn.is_some() || side.end.is_some() {
            self.stale_accepts += 1;
            return None;
        }
        side.conn = Some(conn);
        Some(conversation)
    }

    /// Records the crash of a host: it ends all sides on that host.
    pub(crate) fn crashed(&mut self, host: usize) {
        let sides = self.conversations.iter_mut().flat_map(|conversation| &mut conversation.sides);
        for side in sides.filter(|side| side.is_live()) {
            if side.conn.is_some_and(|((at, _), _)| at == host) {
                side.end = Some(End::Crashed);
            }
        }
    }

    /// Returns true if all conversations are over: all openers have ended, and all other sides that
    /// ever began.
    pub(crate) fn is_over(&self) -> bool {
        let over = |conversation: &Conversation| {
            conversation.sides[0].end.is_some() && !conversation.sides[1].is_live()
        };
        self.conversations.iter().all(over)
    }
}
