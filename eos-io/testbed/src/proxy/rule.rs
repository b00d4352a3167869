//! What goes wrong, and when.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::volume::next_random;

macro_rules! requests {
    ($($name:ident = $code:literal,)*) => {
        /// A kind of request of the XRootD protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the names are those of the protocol")]
        #[repr(u16)]
        pub enum Request { $($name = $code,)* }

        impl Request {
            pub(super) fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

requests! {
    Auth = 3000, Query = 3001, Chmod = 3002, Close = 3003, Dirlist = 3004, Gpfile = 3005, Protocol = 3006,
    Login = 3007, Mkdir = 3008, Mv = 3009, Open = 3010, Ping = 3011, Chkpoint = 3012, Read = 3013, Rm = 3014,
    Rmdir = 3015, Sync = 3016, Stat = 3017, Set = 3018, Write = 3019, Fattr = 3020, Prepare = 3021, Statx = 3022,
    Endsess = 3023, Bind = 3024, Readv = 3025, Pgwrite = 3026, Locate = 3027, Truncate = 3028, Sigver = 3029,
    Pgread = 3030, Writev = 3031, Clone = 3032,
}

/// What is done to a request or its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Answers that the client should ask again so many seconds later; the server does not hear of it.
    Wait(u32),
    /// Answers that the answer will come later, and delivers it so much later in a message of the server's own.
    WaitResp(Duration),
    /// Answers with an error of this number, such as 3011 for a file that is not there.
    Error(u32),
    /// Sends the client to another server, as EOS does.
    Redirect {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// What follows the `?`; empty for nothing.
        opaque: String,
    },
    /// Sends the client to a whole URL.
    RedirectUrl(String),
    /// Delivers the answer so much later; answers to later requests overtake it.
    Delay(Duration),
    /// Swallows the request: there is no answer, though others are answered.
    Stall,
    /// Passes on nothing any more, in either direction, while the connection stays open.
    Hang,
    /// Closes the connection instead of passing on the request.
    Drop,
    /// Closes the connection after so many bytes of the answer, the 8 of its header included.
    Cut(usize),
    /// Flips a bit in the middle of the answer's content. `pgread` has checksums to notice, `read` has not.
    Corrupt,
    /// Answers a read with its first bytes alone, which is legal.
    Short(usize),
    /// Answers a read in pieces of so many bytes, which is legal as well.
    Split(usize),
}

/// A fault, and the requests that it happens to.
///
/// ```
/// use eos_testbed::{Fault, Request, Rule};
/// let the_third_to_the_fifth_read_is_lost = Rule::on(Request::Read).nth(3..=5).then(Fault::Stall);
/// let three_percent_of_opens_fail = Rule::on(Request::Open).share(0.03, 42).then(Fault::Error(3012));
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    request: Option<Request>,
    when: When,
    fault: Fault,
    seen: u64,
}

/// A rule without its fault.
#[derive(Clone, Debug)]
#[must_use]
pub struct RuleBuilder {
    request: Option<Request>,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    Nth(RangeInclusive<u64>),
    Every(u64),
    Share { share: f64, state: u64 },
}

impl Rule {
    /// A rule for one kind of request. Without more it holds for each of them, on all connections.
    pub fn on(request: Request) -> RuleBuilder {
        RuleBuilder { request: Some(request), when: When::Every(1) }
    }

    /// A rule for every kind of request.
    pub fn on_any() -> RuleBuilder {
        RuleBuilder { request: None, when: When::Every(1) }
    }

    fn hit(&mut self, request: Request) -> bool {
        if self.request.is_some_and(|mine| mine != request) {
            return false;
        }
        self.seen += 1;
        match &mut self.when {
            When::Nth(range) => range.contains(&self.seen),
            When::Every(n) => self.seen.is_multiple_of(*n),
            When::Share { share, state } => {
                // The upper 53 bits are a number from 0 to 1.
                let drawn = (next_random(state) >> 11) as f64 / (1_u64 << 53) as f64;
                drawn < *share
            }
        }
    }
}

impl RuleBuilder {
    /// Only the nth to the mth request of this kind, counted from 1 and from when the rule was set.
    pub fn nth(mut self, range: RangeInclusive<u64>) -> Self {
        self.when = When::Nth(range);
        self
    }

    /// Only the first.
    pub fn first(self) -> Self {
        self.nth(1..=1)
    }

    /// Every nth.
    pub fn every(mut self, n: u64) -> Self {
        self.when = When::Every(n);
        self
    }

    /// A share of the requests, drawn at random: 0.03 are three percent. The same seed draws the same ones.
    pub fn share(mut self, share: f64, seed: u64) -> Self {
        self.when = When::Share { share, state: seed };
        self
    }

    /// What happens then.
    pub fn then(self, fault: Fault) -> Rule {
        Rule { request: self.request, when: self.when, fault, seen: 0 }
    }
}

/// The rules of a proxy. All of them count what they see; the first that holds decides.
#[derive(Debug, Default)]
pub(super) struct Rules(pub Vec<Rule>);

impl Rules {
    pub fn decide(&mut self, request: Request) -> Option<Fault> {
        let mut decided = None;
        for rule in &mut self.0 {
            if rule.hit(request) && decided.is_none() {
                decided = Some(rule.fault.clone());
            }
        }
        decided
    }
}

/// What went through a proxy so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Connections that were made to it.
    pub connections: u64,
    /// Requests of each kind.
    pub requests: BTreeMap<Request, u64>,
    /// Requests that something was done to.
    pub faults: u64,
    /// Bytes from clients.
    pub bytes_up: u64,
    /// Bytes from the server.
    pub bytes_down: u64,
}

impl Counts {
    /// Requests of a kind.
    pub fn of(&self, request: Request) -> u64 {
        self.requests.get(&request).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(builder: RuleBuilder, requests: usize) -> Vec<usize> {
        let mut rules = Rules(vec![builder.then(Fault::Drop)]);
        (1..=requests).filter(|_| rules.decide(Request::Read).is_some()).collect()
    }

    #[test]
    fn a_rule_holds_for_the_requests_that_it_names() {
        assert_eq!(hits(Rule::on(Request::Read).nth(2..=3), 5), [2, 3]);
        assert_eq!(hits(Rule::on(Request::Read).every(3), 7), [3, 6]);
        assert_eq!(hits(Rule::on_any().first(), 3), [1]);
        assert!(hits(Rule::on(Request::Open), 3).is_empty());
    }

    #[test]
    fn a_share_is_drawn_the_same_way_each_time() {
        let drawn = hits(Rule::on(Request::Read).share(0.03, 42), 10_000);

        assert!((250..350).contains(&drawn.len()), "{}", drawn.len());
        assert_eq!(drawn, hits(Rule::on(Request::Read).share(0.03, 42), 10_000));
    }

    #[test]
    fn the_first_rule_that_holds_decides_and_all_count() {
        let stall = Rule::on_any().first().then(Fault::Stall);
        let mut rules = Rules(vec![stall, Rule::on(Request::Read).nth(2..=2).then(Fault::Drop)]);

        assert_eq!(rules.decide(Request::Read), Some(Fault::Stall));
        assert_eq!(rules.decide(Request::Read), Some(Fault::Drop));
        assert_eq!(rules.decide(Request::Read), None);
    }
}
