//! When an executor comes and when it goes: decided from what is there and what there is to do, and from nothing else, so that
//! executors on Kubernetes and processes of one machine come and go alike.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::{End, Member, MemberState, Order};

/// How long tasks wait before executors join those that there are: most queries are over by then.
const WAITED: Duration = Duration::from_secs(1);
/// How long nothing is started after a failure: at first, and at most. Each failure in a row doubles it.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long an executor that has no work has to live for the failures before it to be forgotten.
const SOUND: Duration = Duration::from_secs(60);
/// How long a pool may take to show what was started.
const UNSEEN: Duration = Duration::from_secs(30);

/// How many executors there are to be: `N`, or `MIN..MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    least: usize,
    most: usize,
}

/// A text that is no size of a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no number of executors: {reason}")]
pub struct BadSize {
    given: String,
    reason: &'static str,
}

impl PoolSize {
    /// The fewest that there are, even with nothing to do.
    pub fn least(self) -> usize {
        self.least
    }

    /// The most that there are.
    pub fn most(self) -> usize {
        self.most
    }
}

impl FromStr for PoolSize {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = |reason| BadSize { given: text.to_string(), reason };
        let number = |text: &str| text.parse().map_err(|_| bad("a number is expected, or a range such as 0..8"));
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (number(least)?, number(most)?),
            None => (number(text)?, number(text)?),
        };
        if most == 0 {
            return Err(bad("nothing could ever run"));
        }
        if least > most {
            return Err(bad("the least is more than the most"));
        }
        Ok(Self { least, most })
    }
}

/// What the rules go by.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) size: PoolSize,
    /// Tasks that one executor runs at the same time.
    pub(crate) cores: usize,
    /// How long one is without tasks before it goes.
    pub(crate) idle: Duration,
    /// How long one may take from its start until it registers.
    pub(crate) start: Duration,
    /// The memory step of executors that are given no more, whatever they need.
    pub(crate) memory_steps: u32,
    /// What names begin with.
    pub(crate) prefix: String,
}

/// What there is at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// What the pool has.
    pub(crate) members: Vec<Member>,
    /// Tasks that run on each executor that is registered, by name.
    pub(crate) executors: HashMap<String, usize>,
    /// Executors that have rows which running jobs may need.
    pub(crate) keeping: HashSet<String>,
    /// Tasks that could run if there were room.
    pub(crate) waiting_tasks: usize,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Start(Order),
    Stop { name: String, reason: String },
    Remove { name: String, end: End },
}

/// The rules, and what they remember.
#[derive(Debug)]
pub(crate) struct Rules {
    limits: Limits,
    known: HashMap<String, Known>,
    /// Since when tasks wait.
    waiting: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    /// Until when nothing is started.
    not_before: Option<Instant>,
    memory_step: u32,
    /// Executors that have run out of the memory that they have now.
    out_of_memory: u32,
    /// Why there are not as many executors as there should be.
    reason: Option<String>,
}

/// What is known of an executor of the pool.
#[derive(Debug)]
struct Known {
    started: Instant,
    is_seen: bool,
    registered: Option<Instant>,
    /// Since when it is not registered.
    absent: Option<Instant>,
    idle: Option<Instant>,
    has_worked: bool,
    is_current: bool,
    is_stopped: bool,
    /// When it was removed, as it had ended.
    removed: Option<Instant>,
}

impl Known {
    fn new(now: Instant) -> Self {
        Self {
            started: now,
            is_seen: false,
            registered: None,
            absent: Some(now),
            idle: None,
            has_worked: false,
            is_current: true,
            is_stopped: false,
            removed: None,
        }
    }

    /// Whether it works, or is expected to. One that the scheduler has lost is not, whatever has become of it.
    fn is_present(&self) -> bool {
        !self.is_stopped && (self.registered.is_none() || self.absent.is_none())
    }

    /// Whether it has shown that executors can live here.
    fn is_sound(&self, now: Instant) -> bool {
        self.has_worked || self.registered.is_some_and(|registered| now - registered > SOUND)
    }
}

impl Rules {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: HashMap::new(),
            waiting: None,
            failures: 0,
            not_before: None,
            memory_step: 0,
            out_of_memory: 0,
            reason: None,
        }
    }

    /// Why there are fewer executors than there should be, if it is known.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Something was not done that was decided, for a reason.
    pub(crate) fn failed(&mut self, now: Instant, action: &Action, reason: &str) {
        match action {
            Action::Start(order) => {
                self.known.remove(&order.name);
                self.failure(now, reason.to_string());
            }
            Action::Stop { name, .. } => {
                if let Some(known) = self.known.get_mut(name) {
                    known.is_stopped = false;
                }
            }
            Action::Remove { .. } => {}
        }
    }

    /// What to do.
    pub(crate) fn decide(&mut self, now: Instant, view: &View) -> Vec<Action> {
        let mut actions = Vec::new();
        self.look(now, view, &mut actions);
        self.renew(view, &mut actions);
        let present = self.known.values().filter(|known| known.is_present()).count();
        let wanted = self.wanted(now, view, present);
        if present < wanted {
            self.grow(now, wanted - present, &mut actions);
        } else {
            self.shrink(now, present - wanted, &mut actions);
        }
        // Where nobody is wanted any more, nobody has shown that it goes well again.
        let goes_well = self.failures == 0 || !self.known.is_empty();
        if goes_well && present >= wanted && self.known.values().all(|known| known.registered.is_some()) {
            self.reason = None;
        }
        actions
    }

    /// Learns what has become of executors.
    fn look(&mut self, now: Instant, view: &View, actions: &mut Vec<Action>) {
        self.learn_memory(view);
        for member in &view.members {
            let known = self.known.entry(member.name.clone()).or_insert_with(|| Known::new(now));
            (known.is_seen, known.is_current) = (true, member.is_current);
            match (&member.state, view.executors.get(&member.name)) {
                (MemberState::Ended(end), _) => {
                    let (was_stopped, was_sound) = (known.is_stopped, known.is_sound(now));
                    // It may be seen again until the pool has removed it.
                    if known.removed.is_none_or(|removed| now - removed >= UNSEEN) {
                        let is_news = known.removed.is_none() && !was_stopped;
                        (known.removed, known.is_stopped) = (Some(now), true);
                        actions.push(Action::Remove { name: member.name.clone(), end: end.clone() });
                        if is_news {
                            if *end == End::OutOfMemory {
                                self.out_of_memory(member.memory_step);
                            }
                            self.ended(now, end, was_sound);
                        }
                    }
                }
                (MemberState::Stopping, _) => known.is_stopped = true,
                (_, Some(tasks)) => {
                    known.registered.get_or_insert(now);
                    known.absent = None;
                    known.has_worked |= *tasks > 0;
                    // With one that goes, its rows go, and who needs them has to wait until they are there again.
                    if *tasks > 0 || view.keeping.contains(&member.name) {
                        known.idle = None;
                    } else {
                        known.idle.get_or_insert(now);
                    }
                    if known.is_sound(now) {
                        self.failures = 0;
                    }
                }
                (state, None) => {
                    known.idle = None;
                    let absent = now - *known.absent.get_or_insert(now);
                    let why = if let MemberState::Waiting(Some(why)) = state { Some(why) } else { None };
                    if absent <= self.limits.start || known.is_stopped {
                        if let Some(why) = why {
                            self.reason = Some(format!("the executor {} does not start: {why}", member.name));
                        }
                        continue;
                    }
                    known.is_stopped = true;
                    let was_there = known.registered.is_some();
                    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                    let reason = format!("it has not been there for {} s{why}", absent.as_secs());
                    let given_up = format!("the executor {} was given up: {reason}", member.name);
                    actions.push(Action::Stop { name: member.name.clone(), reason });
                    // Of one that worked before, it says nothing about others.
                    if was_there { self.reason = Some(given_up) } else { self.failure(now, given_up) }
                }
            }
        }
        // Those that somebody else has removed; a pool may take a moment to show what was started.
        let there: HashSet<&str> = view.members.iter().map(|member| member.name.as_str()).collect();
        self.known
            .retain(|name, known| there.contains(name.as_str()) || (!known.is_seen && now - known.started < UNSEEN));
    }

    /// How much memory executors get.
    fn learn_memory(&mut self, view: &View) {
        let is_over = view.executors.is_empty() && view.waiting_tasks == 0 && self.limits.size.least == 0;
        match view.members.iter().map(|member| member.memory_step).max() {
            // What the scheduler before this one had learnt.
            Some(step) => self.memory_step = self.memory_step.max(step),
            // What one query needed, the next may not.
            None if is_over => (self.memory_step, self.out_of_memory) = (0, 0),
            None => {}
        }
    }

    /// One has ended that was not told to. One that died of its work says nothing of others: the watch counts those.
    fn ended(&mut self, now: Instant, end: &End, was_sound: bool) {
        let reason = match end {
            End::Done => return,
            End::OutOfMemory => "an executor ran out of memory".to_string(),
            End::Failed(how) => format!("an executor ended: {how}"),
        };
        if !was_sound {
            self.failure(now, reason);
        }
    }

    /// Whether others can have more memory than those of a step.
    pub(crate) fn has_more_memory(&self, step: u32) -> bool {
        step < self.limits.memory_steps
    }

    /// One with so much memory has run out of it. Once may have been chance; the second time, the next ones get more.
    fn out_of_memory(&mut self, step: u32) {
        // Those that had less than the next ones get say nothing new.
        if step < self.memory_step || !self.has_more_memory(self.memory_step) {
            return;
        }
        self.out_of_memory += 1;
        if self.out_of_memory > 1 {
            (self.memory_step, self.out_of_memory) = (self.memory_step + 1, 0);
        }
    }

    /// Has executors end that are not as they would be started now: those with nothing to do, and of the others one at a time.
    fn renew(&mut self, view: &View, actions: &mut Vec<Action>) {
        let is_on_its_way = |known: &Known| known.registered.is_none() && known.is_present();
        let is_changing = view.members.iter().any(|member| member.state == MemberState::Stopping)
            || self.known.values().any(is_on_its_way)
            || self.failures > 0;
        let mut old: Vec<(&String, &mut Known)> =
            self.known.iter_mut().filter(|(_, known)| !known.is_current && known.is_present()).collect();
        // The idle ones first.
        old.sort_by_key(|(name, known)| (known.idle.is_none(), (*name).clone()));
        let idle = old.iter().filter(|(_, known)| known.idle.is_some()).count();
        let count = if idle == 0 && !is_changing { 1 } else { idle };
        for (name, known) in old.into_iter().take(count) {
            known.is_stopped = true;
            let reason = "the cluster is described otherwise now".to_string();
            actions.push(Action::Stop { name: name.clone(), reason });
        }
    }

    fn failure(&mut self, now: Instant, reason: String) {
        let wait = BACK_OFF.0 * 2_u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        self.not_before = Some(now + wait.min(BACK_OFF.1));
        self.reason = Some(reason);
    }

    /// How many executors of the pool there should be.
    fn wanted(&mut self, now: Instant, view: &View, present: usize) -> usize {
        let foreign = view.executors.keys().filter(|name| !self.known.contains_key(*name)).count();
        if view.waiting_tasks == 0 {
            self.waiting = None;
        }
        let waits = view.waiting_tasks > 0 && now - *self.waiting.get_or_insert(now) >= WAITED;
        let from_nothing = view.waiting_tasks > 0 && present + foreign == 0;
        let cores = self.limits.cores.max(1);
        // Those that work stay, and those that are wanted come on top of them.
        let working =
            view.executors.iter().filter(|(name, tasks)| **tasks > 0 && self.known.contains_key(*name)).count();
        let running: usize = view.executors.values().sum();
        let needed = (view.waiting_tasks + running).div_ceil(cores).saturating_sub(foreign);
        let wanted = match waits || from_nothing {
            true => needed.max(working),
            // Nobody is sent away because of tasks that may be over at once, and nobody comes for them.
            false if view.waiting_tasks > 0 => present.max(working),
            false => working,
        };
        wanted.clamp(self.limits.size.least, self.limits.size.most)
    }

    fn grow(&mut self, now: Instant, missing: usize, actions: &mut Vec<Action>) {
        if self.not_before.is_some_and(|time| now < time) {
            return;
        }
        // After a failure one has to show that it goes well again.
        let is_trial = self.failures > 0;
        let on_their_way = self.known.values().any(|known| known.registered.is_none() && known.is_present());
        let count = match is_trial {
            true if on_their_way => 0,
            true => 1,
            false => missing,
        };
        for _ in 0..count {
            let name = format!("{}-{}", self.limits.prefix, suffix());
            self.known.insert(name.clone(), Known::new(now));
            actions.push(Action::Start(Order { name, memory_step: self.memory_step }));
        }
    }

    /// Sends away those that have been idle for longest.
    fn shrink(&mut self, now: Instant, surplus: usize, actions: &mut Vec<Action>) {
        let mut idle: Vec<(Instant, String)> = (self.known.iter())
            .filter(|(_, known)| known.is_present())
            .filter_map(|(name, known)| Some((known.idle?, name.clone())))
            .filter(|(since, _)| now - *since >= self.limits.idle)
            .collect();
        idle.sort();
        for (since, name) in idle.into_iter().take(surplus) {
            if let Some(known) = self.known.get_mut(&name) {
                known.is_stopped = true;
            }
            let reason = format!("it had nothing to do for {} s", (now - since).as_secs());
            actions.push(Action::Stop { name, reason });
        }
    }
}

/// What makes a name one of its own: five letters and digits.
fn suffix() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random = uuid::Uuid::new_v4();
    random
        .as_bytes()
        .iter()
        .take(5)
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)))
        .map(|c| *c as char)
        .collect()
}

#[cfg(test)]
mod tests;
