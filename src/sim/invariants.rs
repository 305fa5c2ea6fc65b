//! What must hold after every step of a scenario, and what must hold at its end.

use super::host::HostId;
use super::ledger::{End, Ledger, Side, Talk};
use super::scenario::{HostPlan, Nowhere, Scenario};
use super::world::World;
use crate::metrics::Event;
use crate::shard::CloseReason;
use crate::tcp::{Info, Phase, SeqNum};

/// What was last seen of one side.
#[derive(Clone, Copy, Debug)]
struct Seen {
    phase: Phase,
    una: SeqNum,
    next: SeqNum,
}

/// Looks at a world step by step.
pub(super) struct Watch {
    /// By conversation and side.
    seen: Vec<[Option<Seen>; 2]>,
    /// By host and worker: the frames of its link.
    frames: Vec<Vec<usize>>,
}

impl Watch {
    pub(super) fn new(world: &World, scenario: &Scenario) -> Self {
        let frames = |(host, plan): (usize, &HostPlan)| {
            let total = |worker| world.host(HostId(host)).link(worker).accounting().total();
            (0..plan.workers).map(total).collect()
        };
        Self {
            seen: vec![[None; 2]; scenario.talks.len()],
            frames: scenario.hosts.iter().enumerate().map(frames).collect(),
        }
    }

    /// After every step.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn look(
        &mut self,
        world: &World,
        scenario: &Scenario,
        ledger: &Ledger,
    ) -> Result<(), String> {
        if let Some(violation) = ledger.violation() {
            return Err(violation.to_owned());
        }
        for (number, talk) in ledger.talks.iter().enumerate() {
            let infos = talk.sides.each_ref().map(|side| inspect(world, side));
            for (side, (seen, info)) in self.seen[number].iter_mut().zip(&infos).enumerate() {
                if let Some(info) = info {
                    follows(*seen, info).map_err(|it| format!("talk {number}.{side}: {it}"))?;
                    *seen = Some(Seen { phase: info.phase, una: info.snd_una, next: info.rcv_nxt });
                }
            }
            if let [Some(opener), Some(other)] = &infos {
                agree(opener, other).map_err(|it| format!("talk {number}: {it}"))?;
                agree(other, opener).map_err(|it| format!("talk {number}: {it}"))?;
            }
        }
        self.look_at_memory(world, scenario)
    }

    fn look_at_memory(&self, world: &World, scenario: &Scenario) -> Result<(), String> {
        for (host, plan) in scenario.hosts.iter().enumerate() {
            for worker in 0..plan.workers {
                let at = world.host(HostId(host));
                let (shard, link) = (at.shard(worker), at.link(worker));
                let frames = link.accounting().total();
                if frames != self.frames[host][worker] {
                    return Err(format!("host {host}.{worker}: {frames} frames of its own"));
                }
                if shard.buffer_bytes() > plan.limits.buffer_bytes {
                    return Err(format!("host {host}.{worker}: {} bytes", shard.buffer_bytes()));
                }
            }
        }
        Ok(())
    }
}

fn inspect(world: &World, side: &Side) -> Option<Info> {
    let ((host, worker), conn) = side.conn.filter(|_| side.is_live())?;
    world.host(HostId(host)).shard(worker).tcp_info(conn)
}

/// One side against itself a step ago.
fn follows(seen: Option<Seen>, info: &Info) -> Result<(), String> {
    if info.snd_una.after(info.snd_nxt) {
        return Err(format!("SND.UNA {:?} is past SND.NXT {:?}", info.snd_una, info.snd_nxt));
    }
    let Some(seen) = seen else { return Ok(()) };
    if !may_come_to(seen.phase, info.phase) {
        return Err(format!("{} became {}", seen.phase.name(), info.phase.name()));
    }
    if seen.una.after(info.snd_una) {
        return Err(format!("SND.UNA went back from {:?} to {:?}", seen.una, info.snd_una));
    }
    // Before the peer's SYN there is no RCV.NXT.
    if seen.phase != Phase::SynSent && seen.next.after(info.rcv_nxt) {
        return Err(format!("RCV.NXT went back from {:?} to {:?}", seen.next, info.rcv_nxt));
    }
    Ok(())
}

/// Whether arrows of RFC 9293 figure 5 lead from one state to another: a step may go along several.
fn may_come_to(from: Phase, to: Phase) -> bool {
    from == to || from.successors().iter().any(|next| may_come_to(*next, to))
}

/// What one side has of the other's, both having seen the other's SYN.
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
        return Err(format!("{una:?} is taken for acknowledged, {next:?} is awaited"));
    }
    Ok(())
}

/// What must hold of every conversation once it is over.
///
/// # Errors
/// What does not hold.
pub(super) fn ended_well(
    world: &World,
    scenario: &Scenario,
    ledger: &Ledger,
) -> Result<(), String> {
    for (number, talk) in ledger.talks.iter().enumerate() {
        let told = |it: String| {
            let ends = talk.sides.each_ref().map(|side| side.end);
            format!("talk {number}, {:?}, ends {ends:?}: {it}", talk.kind)
        };
        let excused = excuse(world, scenario, talk, number);
        for side in 0..2 {
            is_explained(talk, side, excused, scenario.simultaneous).map_err(told)?;
            is_whole(talk, side).map_err(told)?;
        }
    }
    if ledger.phantoms > 0 && !any_cookie(world, scenario) {
        return Err(format!("{} connections were accepted twice", ledger.phantoms));
    }
    Ok(())
}

/// Why a conversation may end otherwise than by two FINs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excuse {
    None,
    /// Nobody is there.
    Nowhere(Nowhere),
    /// An answer of ARP may have been corrupted.
    Misled,
    /// One of the two may break off.
    BreaksOff,
    /// One of its hosts crashed, or had no room for it.
    Fails,
}

fn excuse(world: &World, scenario: &Scenario, talk: &Talk, number: usize) -> Excuse {
    let plan = &scenario.talks[number];
    if scenario.has_crash() {
        return Excuse::Fails;
    }
    if let Some(nowhere) = plan.nowhere {
        return Excuse::Nowhere(nowhere);
    }
    let hosts = [plan.opener.0, plan.other];
    let turned_down = |host: &usize| {
        let plan = &scenario.hosts[*host];
        (plan.is_short() || plan.has_few_ports()) && counted(world, *host, lacked)
    };
    if hosts.iter().any(turned_down) {
        return Excuse::Fails;
    }
    match talk.kind.may_break_off() {
        true => Excuse::BreaksOff,
        false if !plan.ipv6 && scenario.has_corruption() => Excuse::Misled,
        false => Excuse::None,
    }
}

fn counted(world: &World, host: usize, test: impl Fn(&crate::shard::Shard) -> bool) -> bool {
    let host = world.host(HostId(host));
    (0..host.workers()).any(|worker| test(host.shard(worker)))
}

/// Whether a shard has had to do without something.
fn lacked(shard: &crate::shard::Shard) -> bool {
    use crate::metrics::DropReason as Drop;
    let counters = shard.counters();
    let events =
        [Event::CookieSent, Event::TimeWaitEvicted, Event::TimeWaitReused, Event::OrphanRefused];
    let drops = [Drop::TableFull, Drop::BacklogFull, Drop::NoBuffer];
    events.iter().any(|event| counters.counted(*event) > 0)
        || drops.iter().any(|reason| counters.dropped(*reason) > 0)
}

/// Whether a cookie was sent, or may have been by a host that has forgotten in a crash what it counted.
fn any_cookie(world: &World, scenario: &Scenario) -> bool {
    let sent = |shard: &crate::shard::Shard| shard.counters().counted(Event::CookieSent) > 0;
    let forgotten = scenario.has_crash() && scenario.hosts.iter().any(HostPlan::may_send_cookies);
    forgotten || (0..scenario.hosts.len()).any(|host| counted(world, host, sent))
}

/// Whether a side's end is one that what happened can account for.
fn is_explained(
    talk: &Talk,
    side: usize,
    excuse: Excuse,
    is_simultaneous: bool,
) -> Result<(), String> {
    let end = talk.sides[side].end;
    let explained = match (excuse, end) {
        _ if lost_its_neighbour(talk) => true,
        (Excuse::Misled, _) if was_misled(talk) => true,
        // Reset by a half that the other lost in the storm, or while the other still opened.
        (Excuse::BreaksOff, Some(End::Told(CloseReason::Refused))) => is_simultaneous,
        (Excuse::None | Excuse::Misled, _) => end == Some(End::Told(CloseReason::Finished)),
        (Excuse::Nowhere(_), None) => side == 1,
        (Excuse::Nowhere(Nowhere::Port), Some(End::Told(ending))) => {
            side == 0 && matches!(ending, CloseReason::Refused | CloseReason::Aborted)
        }
        (Excuse::Nowhere(Nowhere::Host), Some(End::Told(ending))) => {
            let lost = [CloseReason::Unreachable, CloseReason::TimedOut, CloseReason::Aborted];
            side == 0 && lost.contains(&ending)
        }
        (Excuse::Nowhere(_), Some(_)) => false,
        // The other may never have heard of a connection that was aborted early.
        (Excuse::BreaksOff, None) => side == 1,
        (Excuse::BreaksOff, Some(End::Told(ending))) => !matches!(
            ending,
            CloseReason::Refused | CloseReason::Unreachable | CloseReason::NoBuffers
        ),
        (Excuse::BreaksOff, Some(_)) => false,
        (Excuse::Fails, _) => true,
    };
    if explained { Ok(()) } else { Err(format!("side {side} has no excuse ({excuse:?})")) }
}

/// Whether an opener gave up for want of the neighbour's address, which is asked for three times, and the
/// other never knew, or opened too and was turned down. Only a storm can do that: in fair weather the first
/// question is answered.
fn lost_its_neighbour(talk: &Talk) -> bool {
    let ends = talk.sides.each_ref().map(|side| side.end);
    let gave_up = |end| end == Some(End::Told(CloseReason::Unreachable));
    let turned_down = [Some(End::Told(CloseReason::Refused)), Some(End::Told(CloseReason::Reset))];
    let may_follow = |end: Option<End>| end.is_none() || turned_down.contains(&end) || gave_up(end);
    ends.into_iter().any(gave_up) && ends.into_iter().all(may_follow)
}

/// Whether the other never established what the opener had. ARP has no sum: who has learned a wrong hardware
/// address in the storm sends its SYN-ACKs to nobody until it asks again, and gives up before.
fn was_misled(talk: &Talk) -> bool {
    let [opener, other] = talk.sides.each_ref().map(|side| side.end);
    let lost = [CloseReason::Reset, CloseReason::TimedOut, CloseReason::KeepAlive]
        .map(|it| Some(End::Told(it)));
    lost.contains(&opener) && other.is_none()
}

/// Whoever saw a whole exchange of FINs has read all that the peer has written.
fn is_whole(talk: &Talk, side: usize) -> Result<(), String> {
    let (mine, theirs) = (&talk.sides[side], &talk.sides[1 - side]);
    if mine.read > theirs.written {
        return Err(format!("side {side} read {} of {} bytes", mine.read, theirs.written));
    }
    let finished = mine.end == Some(End::Told(CloseReason::Finished));
    // Who closes both directions reads no more.
    let reads_on = side == 1 || !talk.kind.may_break_off();
    if finished && reads_on && mine.read != theirs.written {
        return Err(format!("side {side} read {} of {} bytes", mine.read, theirs.written));
    }
    Ok(())
}

/// What must hold when the last TIME-WAIT is over: nothing is left.
///
/// # Errors
/// What is left.
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
                ("frames on their way", link.accounting().tx_posted),
            ];
            if let Some((what, count)) = left.into_iter().find(|(_, count)| *count > 0) {
                return Err(format!("host {host}.{worker}: {count} {what} left"));
            }
        }
    }
    Ok(())
}
