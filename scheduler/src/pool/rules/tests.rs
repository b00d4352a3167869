//! The rules in a time of the tests' own.

use super::*;

const IDLE: Duration = Duration::from_secs(30);
const START: Duration = Duration::from_secs(120);

/// Executors that do as they are told, in a time that passes when a test says so.
struct World {
    rules: Rules,
    now: Instant,
    members: Vec<Member>,
    /// Tasks on each that is registered.
    executors: HashMap<String, usize>,
    keeping: HashSet<String>,
    waiting: usize,
    removed: Vec<End>,
    steps: Vec<u32>,
}

fn running(order: &Order) -> Member {
    Member { name: order.name.clone(), state: MemberState::Running, memory_step: order.memory_step, is_current: true }
}

impl World {
    fn new(size: &str) -> Self {
        let size = size.parse().unwrap();
        let limits = Limits { size, cores: 2, idle: IDLE, start: START, memory_steps: 3, prefix: "e".to_string() };
        let (members, executors, removed, steps) = (Vec::new(), HashMap::new(), Vec::new(), Vec::new());
        let (rules, now, keeping) = (Rules::new(limits), Instant::now(), HashSet::new());
        Self { rules, now, members, executors, keeping, waiting: 0, removed, steps }
    }

    fn decide(&mut self) -> Vec<Action> {
        let view = View {
            members: self.members.clone(),
            executors: self.executors.clone(),
            keeping: self.keeping.clone(),
            waiting_tasks: self.waiting,
        };
        self.rules.decide(self.now, &view)
    }

    /// Lets time pass in which all is done that is decided. Executors start, but do not register.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 2 {
            for action in self.decide() {
                match action {
                    Action::Start(order) => {
                        self.steps.push(order.memory_step);
                        self.members.push(running(&order));
                    }
                    Action::Stop { name, .. } => self.end(&name, End::Done),
                    Action::Remove { name, end } => {
                        self.removed.push(end);
                        self.members.retain(|member| member.name != name);
                    }
                }
            }
            self.now += Duration::from_millis(500);
        }
    }

    fn names(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name.clone()).collect()
    }

    fn register(&mut self) {
        for name in self.names() {
            self.executors.entry(name).or_insert(0);
        }
    }

    fn end(&mut self, name: &str, end: End) {
        let member = self.members.iter_mut().find(|member| member.name == name).unwrap();
        member.state = MemberState::Ended(end);
        self.executors.remove(name);
    }

    /// Those that were told to end have.
    fn end_stopping(&mut self) {
        for member in &mut self.members {
            if member.state == MemberState::Stopping {
                member.state = MemberState::Ended(End::Done);
            }
        }
    }

    fn busy(&mut self, tasks: usize) {
        self.executors.values_mut().for_each(|running| *running = tasks);
    }
}

#[test]
fn a_size_is_a_number_or_a_range() {
    let size = |text: &str| text.parse::<PoolSize>().map(|size| (size.least(), size.most()));
    assert_eq!(size("3"), Ok((3, 3)));
    assert_eq!(size("0..8"), Ok((0, 8)));
    for (bad, reason) in [("0", "nothing"), ("4..2", "more than"), ("many", "a number"), ("1..", "a number")] {
        assert!(size(bad).unwrap_err().to_string().contains(reason), "{bad}");
    }
}

#[test]
fn a_fixed_number_is_there_from_the_beginning_and_whoever_ends_is_replaced() {
    let mut world = World::new("3");
    world.pass(1);
    world.register();
    assert_eq!(world.members.len(), 3);
    let first = world.names()[0].clone();
    world.end(&first, End::Failed("killed".to_string()));
    world.pass(3);
    assert_eq!(world.members.len(), 3);
    assert!(!world.names().contains(&first));
    world.register();
    world.pass(600);
    assert_eq!(world.members.len(), 3, "with nothing to do");
}

#[test]
fn the_first_query_starts_executors_and_the_last_is_outlived_by_none() {
    let mut world = World::new("0..4");
    world.pass(60);
    assert_eq!(world.members.len(), 0);
    world.waiting = 5;
    world.pass(1);
    assert_eq!(world.members.len(), 3, "two tasks each");
    world.register();
    world.busy(1);
    world.waiting = 0;
    world.pass(IDLE.as_secs() * 2);
    assert_eq!(world.members.len(), 3, "all are at work");
    world.busy(0);
    world.pass(IDLE.as_secs() - 2);
    assert_eq!(world.members.len(), 3);
    world.pass(5);
    assert_eq!(world.members.len(), 0);
    assert_eq!(world.removed, [End::Done, End::Done, End::Done]);
}

#[test]
fn no_more_start_than_there_may_be_and_none_for_tasks_that_are_over_at_once() {
    let mut world = World::new("1..4");
    world.pass(1);
    world.register();
    world.waiting = 100;
    assert!(world.decide().is_empty());
    world.waiting = 0;
    world.pass(5);
    assert_eq!(world.members.len(), 1);
    world.waiting = 100;
    world.pass(5);
    assert_eq!(world.members.len(), 4);
}

#[test]
fn of_several_that_are_idle_those_go_that_have_been_so_for_longest() {
    let mut world = World::new("0..2");
    world.waiting = 4;
    world.pass(1);
    world.register();
    world.waiting = 0;
    let names = world.names();
    world.executors.insert(names[0].clone(), 1);
    world.pass(10);
    world.executors.insert(names[0].clone(), 0);
    world.pass(IDLE.as_secs() - 9);
    assert_eq!(world.names(), [names[0].clone()]);
}

#[test]
fn what_was_started_before_the_scheduler_is_counted_and_not_started_again() {
    let mut world = World::new("2");
    let there = ["e-aaaaa", "e-bbbbb"].map(|name| running(&Order { name: name.to_string(), memory_step: 0 }));
    world.members = there.to_vec();
    world.register();
    world.pass(60);
    assert_eq!(world.members, there);
}

#[test]
fn executors_that_others_have_started_count_and_are_never_sent_away() {
    let mut world = World::new("0..4");
    world.executors.insert("by hand".to_string(), 2);
    world.waiting = 2;
    world.pass(3);
    assert_eq!(world.members.len(), 1);
    world.register();
    world.waiting = 0;
    world.busy(0);
    world.pass(IDLE.as_secs() * 2);
    assert_eq!(world.members.len(), 0);
    assert_eq!(world.executors.len(), 1);
}

#[test]
fn executors_that_do_not_live_are_started_ever_more_seldom_and_one_at_a_time() {
    let mut world = World::new("4");
    let mut started = Vec::new();
    for _ in 0..600 {
        for action in world.decide() {
            match action {
                Action::Start(order) => {
                    started.push(world.now);
                    let state = MemberState::Ended(End::Failed("exit status 1".to_string()));
                    world.members.push(Member { state, ..running(&order) });
                }
                Action::Remove { name, .. } => world.members.retain(|member| member.name != name),
                Action::Stop { name, .. } => panic!("{name} has ended by itself"),
            }
        }
        world.now += Duration::from_millis(500);
    }
    assert!((8..20).contains(&started.len()), "{} starts in five minutes", started.len());
    assert!(world.rules.reason().unwrap().contains("exit status 1"));
    let last = started.windows(2).next_back().unwrap();
    assert!(last[1] - last[0] >= Duration::from_secs(60));
}

#[test]
fn executors_that_die_of_their_work_are_replaced_at_once() {
    let mut world = World::new("2");
    for _ in 0..10 {
        world.pass(1);
        world.register();
        assert_eq!(world.members.len(), 2);
        world.busy(1);
        world.pass(1);
        for name in world.names() {
            world.end(&name, End::Failed("signal 11".to_string()));
        }
    }
}

#[test]
fn a_pool_that_refuses_is_asked_again_later_and_the_reason_is_known() {
    let mut world = World::new("2");
    let mut asked = 0;
    for _ in 0..240 {
        for action in world.decide() {
            asked += 1;
            world.rules.failed(world.now, &action, "exceeded quota: cpu");
        }
        world.now += Duration::from_millis(500);
    }
    assert!((5..12).contains(&asked), "{asked}");
    assert_eq!(world.rules.reason(), Some("exceeded quota: cpu"));
    world.now += BACK_OFF.1;
    world.pass(1);
    assert_eq!(world.members.len(), 1, "one shows that it goes well again");
    world.register();
    world.pass(1);
    assert_eq!(world.members.len(), 2);
    world.register();
    world.pass(1);
    assert_eq!(world.rules.reason(), None);
}

#[test]
fn one_that_does_not_register_in_time_is_given_up_and_replaced() {
    let mut world = World::new("1");
    world.pass(1);
    let first = world.names();
    let why = "0/3 nodes are available: insufficient memory";
    world.members[0].state = MemberState::Waiting(Some(why.to_string()));
    world.pass(10);
    assert!(world.rules.reason().unwrap().contains(why));
    world.pass(START.as_secs());
    assert_eq!(world.members.len(), 1);
    assert_ne!(world.names(), first);
}

#[test]
fn one_that_the_scheduler_has_lost_is_replaced_before_it_is_known_what_became_of_it() {
    let mut world = World::new("1");
    world.pass(1);
    world.register();
    world.pass(1);
    let lost = world.names();
    world.executors.clear();
    world.pass(1);
    assert_eq!(world.members.len(), 2);
    world.executors.insert(world.names()[1].clone(), 0);
    world.pass(START.as_secs() + 5);
    assert!(world.members.len() == 1 && world.names() != lost);
}

#[test]
fn after_the_second_that_ran_out_of_memory_the_next_get_more_within_bounds() {
    let mut world = World::new("1");
    for _ in 0..20 {
        world.pass(BACK_OFF.1.as_secs() + 1);
        world.register();
        let name = world.names()[0].clone();
        world.end(&name, End::OutOfMemory);
    }
    let mut steps = world.steps.clone();
    steps.dedup();
    assert_eq!(&world.steps[..3], [0, 0, 1]);
    assert_eq!(steps, [0, 1, 2, 3]);
}

#[test]
fn one_that_has_ended_is_removed_once_however_long_it_is_seen() {
    let mut world = World::new("1");
    world.pass(1);
    let name = world.names()[0].clone();
    world.end(&name, End::Failed("exit status 1".to_string()));
    let mut removals = 0;
    for _ in 0..10 {
        removals += world.decide().iter().filter(|action| matches!(action, Action::Remove { .. })).count();
        world.now += Duration::from_millis(500);
    }
    assert_eq!(removals, 1);
}

#[test]
fn what_was_started_counts_before_the_pool_shows_it_and_no_longer_if_it_never_does() {
    let mut world = World::new("1");
    assert_eq!(world.decide().len(), 1);
    world.now += Duration::from_secs(10);
    assert_eq!(world.decide().len(), 0);
    world.now += UNSEEN;
    assert_eq!(world.decide().len(), 1);
}

#[test]
fn a_scheduler_that_finds_executors_goes_on_with_the_memory_that_they_have() {
    let mut world = World::new("2");
    world.members.push(Member { memory_step: 2, ..running(&Order { name: "e-found".to_string(), memory_step: 0 }) });
    world.pass(1);
    assert_eq!(world.steps, [2]);
}

#[test]
fn what_one_query_needed_is_not_given_to_the_next() {
    let mut world = World::new("0..1");
    for _ in 0..4 {
        world.waiting = 1;
        world.pass(BACK_OFF.1.as_secs() + 1);
        world.register();
        let name = world.names()[0].clone();
        world.end(&name, End::OutOfMemory);
        world.executors.clear();
        world.pass(1);
    }
    assert_eq!(world.steps.last(), Some(&1));
    world.waiting = 0;
    for name in world.names() {
        world.end(&name, End::Done);
    }
    world.executors.clear();
    world.pass(5);
    world.waiting = 1;
    world.pass(BACK_OFF.1.as_secs() + 1);
    assert_eq!(world.steps.last(), Some(&0));
}

#[test]
fn one_that_has_rows_which_a_job_needs_stays_however_long_it_has_nothing_to_do() {
    let mut world = World::new("0..2");
    world.waiting = 4;
    world.pass(1);
    world.register();
    let names = world.names();
    world.waiting = 0;
    world.executors.insert(names[0].clone(), 1);
    world.keeping.insert(names[1].clone());
    world.pass(10 * IDLE.as_secs());
    assert_eq!(world.members.len(), 2);
    world.keeping.clear();
    world.pass(IDLE.as_secs() + 1);
    assert_eq!(world.names(), names[..1]);
}

#[test]
fn those_of_an_older_description_are_replaced_one_after_the_other_and_the_idle_ones_at_once() {
    let mut world = World::new("3");
    world.pass(1);
    world.register();
    world.busy(1);
    let old = world.names();
    world.members.iter_mut().for_each(|member| member.is_current = false);
    world.executors.insert(old[0].clone(), 0);

    let actions = world.decide();
    assert!(matches!(&actions[..], [Action::Stop { name, .. }, Action::Start(_)] if *name == old[0]), "the idle one");
    world.members[0].state = MemberState::Stopping;
    world.members.extend(actions.iter().filter_map(|action| match action {
        Action::Start(order) => Some(running(order)),
        _ => None,
    }));
    world.executors.remove(&old[0]);
    world.pass(1);
    assert_eq!(world.members.len(), 4, "one comes in its place, and no other goes before it is there");
    for _ in 0..10 {
        world.end_stopping();
        world.pass(1);
        world.register();
        world.busy(1);
    }
    assert_eq!(world.members.len(), 3);
    assert!(world.names().iter().all(|name| !old.contains(name)), "{old:?} {:?}", world.names());
}
