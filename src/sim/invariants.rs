//! The invariants of a scenario: those after every step, and those at its end.

use super::host::HostId;
use super::ledger::{Conversation, End, Ledger, Side};
use super::scenario::{DeadTarget, HostPlan, Scenario};
use super::world::World;
use crate::metrics::Event;
use crate::shard::{CloseReason, ConnInfo};
use crate::tcp::{Info, Phase, SeqNum};

/// The state of one side after the previous step.
#[derive(Clone, Copy, Debug)]
struct Previous {
    phase: Phase,
    una: SeqNum,
    next: SeqNum,
}

/// Checks a world after every step.
pub(super) struct Checker {
    /// By conversation and side.
    previous: Vec<[Option<Previous>; 2]>,
    /// Number of frames of each link, by host and worker.
    frames: Vec<Vec<usize>>,
}

impl Checker {
    pub(super) fn new(world: &World, scenario: &Scenario) -> Self {
        let frames = |(host, plan): (usize, &HostPlan)| {
            let total = |worker| world.host(HostId(host)).link(worker).accounting().total();
            (0..plan.workers).map(total).collect()
        };
        Self {
            previous: vec![[None; 2]; scenario.conversations.len()],
            frames: scenario.hosts.iter().enumerate().map(frames).collect(),
        }
    }

    /// Checks the invariants of a step.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub(super) fn check(
        &mut self,
        world: &World,
        scenario: &Scenario,
        ledger: &Ledger,
    ) -> Result<(), String> {
        if let Some(violation) = ledger.violation() {
            return Err(violation.to_owned());
        }
        for (number, conversation) in ledger.conversations.iter().enumerate() {
            let infos = conversation.sides.each_ref().map(|side| info(world, side));
            for (side, (previous, info)) in self.previous[number].iter_mut().zip(&infos).enumerate()
            {
                if let Some(info) = info {
                    follows(*previous, info)
                        .map_err(|it| format!("conversation {number}.{side}: {it}"))?;
                    *previous =
                        Some(Previous { phase: info.phase, una: info.snd_una, next: info.rcv_nxt });
                }
            }
            if let [Some(opener), Some(other)] = &infos {
                agree(opener, other).map_err(|it| format!("conversation {number}: {it}"))?;
                agree(other, opener).map_err(|it| format!("conversation {number}: {it}"))?;
            }
        }
        self.check_memory(world, scenario)
    }

    fn check_memory(&self, world: &World, scenario: &Scenario) -> Result<(), String> {
        for (host, plan) in scenario.hosts.iter().enumerate() {
            for worker in 0..plan.workers {
                let at = world.host(HostId(host));
                let (shard, link) = (at.shard(worker), at.link(worker));
                let frames = link.accounting().total();
                if frames != self.frames[host][worker] {
                    return Err(format!("host {host}.{worker}: {frames} frames in its accounting"));
                }
                if shard.buffer_bytes() > plan.limits.buffer_bytes {
                    return Err(format!("host {host}.{worker}: {} bytes", shard.buffer_bytes()));
                }
            }
        }
        Ok(())
    }
}

fn info(world: &World, side: &Side) -> Option<Info> {
    let ((host, worker), conn) = side.conn.filter(|_| side.is_live())?;
    world.host(HostId(host)).shard(worker).tcp_info(conn)
}

/// Compares a side with its state a step ago.
fn follows(previous: Option<Previous>, info: &Info) -> Result<(), String> {
    if info.snd_una.after(info.snd_nxt) {
        return Err(format!("SND.UNA {:?} is past SND.NXT {:?}", info.snd_una, info.snd_nxt));
    }
    let Some(previous) = previous else { return Ok(()) };
    if !is_reachable(previous.phase, info.phase) {
        return Err(format!("{} became {}", previous.phase.name(), info.phase.name()));
    }
    if previous.una.after(info.snd_una) {
        return Err(format!("SND.UNA went back from {:?} to {:?}", previous.una, info.snd_una));
    }
    // Before the peer's SYN there is no RCV.NXT.
    if previous.phase != Phase::SynSent && previous.next.after(info.rcv_nxt) {
        return Err(format!("RCV.NXT went back from {:?} to {:?}", previous.next, info.rcv_nxt));
    }
    Ok(())
}

/// Returns true if transitions of RFC 9293 figure 5 lead from one state to another. One step may
/// take several.
fn is_reachable(from: Phase, to: Phase) -> bool {
    from == to || from.successors().iter().any(|next| is_reachable(*next, to))
}

/// Compares the sequence numbers of the two sides, once both have received the other's SYN.
fn agree(sender: &Info, receiver: &Info) -> Result<(), String> {
    let opening = |info: &Info| matches!(info.phase, Phase::SynSent | Phase::Closed);
    if opening(sender) || opening(receiver) {
        return Ok(());
    }
    if receiver.irs != sender.iss {
        return Err(format!("IRS {:?} is not the peer's ISS {:?}", receiver.irs, sender.iss));
    }
    if sender.snd_una.after(receiver.rcv_nxt) {
        let (una, next) = (sender.snd_una, receiver.rcv_nxt);
        return Err(format!("SND.UNA is {una:?}, past the peer's RCV.NXT {next:?}"));
    }
    Ok(())
}

/// Checks every conversation once all are over.
///
/// # Errors
/// The invariant that does not hold.
pub(super) fn ended_well(
    world: &World,
    scenario: &Scenario,
    ledger: &Ledger,
) -> Result<(), String> {
    for (number, conversation) in ledger.conversations.iter().enumerate() {
        let describe = |it: String| {
            let ends = conversation.sides.each_ref().map(|side| side.end);
            format!("conversation {number}, {:?}, ends {ends:?}: {it}", conversation.kind)
        };
        let tolerance = tolerance(world, scenario, conversation, number);
        for side in 0..2 {
            is_tolerated(conversation, side, tolerance, scenario.simultaneous).map_err(describe)?;
            read_all(conversation, side).map_err(describe)?;
        }
    }
    if ledger.stale_accepts > 0 && !may_have_sent_cookies(world, scenario) {
        return Err(format!("{} connections were accepted twice", ledger.stale_accepts));
    }
    Ok(())
}

/// The ends of a conversation that are tolerated besides a clean close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tolerance {
    None,
    /// The target does not answer.
    DeadTarget(DeadTarget),
    /// An ARP reply may have been corrupted.
    ArpCorruption,
    /// One of the two sides may close early.
    EarlyClose,
    /// A host crashed, drained or hit one of its limits.
    AnyEnd,
}

fn tolerance(
    world: &World,
    scenario: &Scenario,
    conversation: &Conversation,
    number: usize,
) -> Tolerance {
    let plan = &scenario.conversations[number];
    if scenario.has_crash() || scenario.has_drain() {
        return Tolerance::AnyEnd;
    }
    if let Some(target) = plan.dead_target {
        return Tolerance::DeadTarget(target);
    }
    let hosts = [plan.opener.0, plan.other];
    let rejected = |host: &usize| {
        let plan = &scenario.hosts[*host];
        (plan.has_low_limits() || plan.has_few_ports()) && any_shard(world, *host, hit_a_limit)
    };
    if hosts.iter().any(rejected) {
        return Tolerance::AnyEnd;
    }
    match conversation.kind.may_end_early() {
        true => Tolerance::EarlyClose,
        false if !plan.ipv6 && scenario.has_corruption() => Tolerance::ArpCorruption,
        false => Tolerance::None,
    }
}

fn any_shard(world: &World, host: usize, test: impl Fn(&crate::shard::Shard) -> bool) -> bool {
    let host = world.host(HostId(host));
    (0..host.workers()).any(|worker| test(host.shard(worker)))
}

/// Returns true if a shard has rejected or evicted something for lack of memory.
fn hit_a_limit(shard: &crate::shard::Shard) -> bool {
    use crate::metrics::DropReason as Drop;
    let counters = shard.counters();
    let events =
        [Event::CookieSent, Event::TimeWaitEvicted, Event::TimeWaitReused, Event::OrphanRefused];
    let drops = [Drop::TableFull, Drop::BacklogFull, Drop::NoBuffer];
    events.iter().any(|event| counters.counted(*event) > 0)
        || drops.iter().any(|reason| counters.dropped(*reason) > 0)
}

/// Returns true if a SYN cookie was sent, or may have been by a host whose counters were lost in a
/// crash.
fn may_have_sent_cookies(world: &World, scenario: &Scenario) -> bool {
    let sent = |shard: &crate::shard::Shard| shard.counters().counted(Event::CookieSent) > 0;
    let forgotten = scenario.has_crash() && scenario.hosts.iter().any(HostPlan::may_send_cookies);
    forgotten || (0..scenario.hosts.len()).any(|host| any_shard(world, host, sent))
}

/// Checks that the end of a side is tolerated.
fn is_tolerated(
    conversation: &Conversation,
    side: usize,
    tolerance: Tolerance,
    is_simultaneous: bool,
) -> Result<(), String> {
    let end = conversation.sides[side].end;
    let tolerated = match (tolerance, end) {
        _ if resolution_failed(conversation) => true,
        (Tolerance::ArpCorruption, _) if arp_was_corrupted(conversation) => true,
        // In a simultaneous open: reset because the other side had lost its half in the storm, or
        // had not opened yet.
        (Tolerance::EarlyClose, Some(End::Closed(CloseReason::Refused))) => is_simultaneous,
        (Tolerance::None | Tolerance::ArpCorruption, _) => {
            end == Some(End::Closed(CloseReason::Finished))
        }
        (Tolerance::DeadTarget(_), None) => side == 1,
        (Tolerance::DeadTarget(DeadTarget::ClosedPort), Some(End::Closed(reason))) => {
            side == 0 && matches!(reason, CloseReason::Refused | CloseReason::Aborted)
        }
        (Tolerance::DeadTarget(DeadTarget::NoHost), Some(End::Closed(reason))) => {
            let lost = [CloseReason::Unreachable, CloseReason::TimedOut, CloseReason::Aborted];
            side == 0 && lost.contains(&reason)
        }
        (Tolerance::DeadTarget(_), Some(_)) => false,
        // The other side may never have seen a connection that was aborted early.
        (Tolerance::EarlyClose, None) => side == 1,
        (Tolerance::EarlyClose, Some(End::Closed(reason))) => !matches!(
            reason,
            CloseReason::Refused | CloseReason::Unreachable | CloseReason::NoBuffers
        ),
        (Tolerance::EarlyClose, Some(_)) => false,
        (Tolerance::AnyEnd, _) => true,
    };
    if tolerated {
        Ok(())
    } else {
        Err(format!("side {side} must not end so (tolerated: {tolerance:?})"))
    }
}

/// Returns true if an opener gave up since it could not resolve the neighbour in three attempts,
/// and the other side never saw the connection, or opened too and was rejected. Only a storm causes
/// that: otherwise the first request is answered.
fn resolution_failed(conversation: &Conversation) -> bool {
    let ends = conversation.sides.each_ref().map(|side| side.end);
    let gave_up = |end| end == Some(End::Closed(CloseReason::Unreachable));
    let rejected = [Some(End::Closed(CloseReason::Refused)), Some(End::Closed(CloseReason::Reset))];
    let may_follow = |end: Option<End>| end.is_none() || rejected.contains(&end) || gave_up(end);
    ends.into_iter().any(gave_up) && ends.into_iter().all(may_follow)
}

/// Returns true if the opener's connection was established and the other side's never was. ARP has
/// no checksum: a host that learned a wrong Ethernet address in the storm sends its SYN-ACKs to
/// that address, and gives up before it resolves the neighbour again.
fn arp_was_corrupted(conversation: &Conversation) -> bool {
    let [opener, other] = conversation.sides.each_ref().map(|side| side.end);
    let lost = [CloseReason::Reset, CloseReason::TimedOut, CloseReason::KeepAlive]
        .map(|it| Some(End::Closed(it)));
    lost.contains(&opener) && other.is_none()
}

/// Checks that a side that closed cleanly has read everything that the peer has written.
fn read_all(conversation: &Conversation, side: usize) -> Result<(), String> {
    let (own, peer) = (&conversation.sides[side], &conversation.sides[1 - side]);
    if own.read > peer.written {
        return Err(format!("side {side} read {} of {} bytes", own.read, peer.written));
    }
    let finished = own.end == Some(End::Closed(CloseReason::Finished));
    // A side that closes both directions stops reading.
    let reads_on = side == 1 || !conversation.kind.may_end_early();
    if finished && reads_on && own.read != peer.written {
        return Err(format!("side {side} read {} of {} bytes", own.read, peer.written));
    }
    Ok(())
}

/// Checks that nothing is left after the last TIME-WAIT.
///
/// # Errors
/// The resource that is left.
pub(super) fn nothing_left(world: &World, scenario: &Scenario) -> Result<(), String> {
    for (host, plan) in scenario.hosts.iter().enumerate() {
        for worker in 0..plan.workers {
            let at = world.host(HostId(host));
            let (shard, link) = (at.shard(worker), at.link(worker));
            let left = [
                ("connections", shard.connections()),
                ("TIME-WAITs", shard.time_waits()),
                ("bytes of buffers", shard.buffer_bytes()),
                ("timers", shard.timers()),
                ("frames held", link.accounting().held),
                ("frames in flight", link.accounting().tx_posted),
            ];
            if let Some((what, count)) = left.into_iter().find(|(_, count)| *count > 0) {
                let ends =
                    |info: ConnInfo| format!("\n  {} {} {}", info.local, info.remote, info.state);
                let list: String = shard.list().map(ends).collect();
                return Err(format!("host {host}.{worker}: {count} {what} left{list}"));
            }
        }
    }
    Ok(())
}
