//! What is done about errors that may pass: how often a request is made again, how long is waited before, and which
//! servers are not to be asked again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Retries left for a client, counted in tenths.
#[derive(Debug)]
pub(crate) struct Budget {
    tenths: AtomicI64,
    most: i64,
}

impl Budget {
    pub(crate) fn new(retries: u32) -> Self {
        let most = i64::from(retries) * 10;
        Self { tenths: AtomicI64::new(most), most }
    }

    /// Takes one retry, if there is one.
    pub(crate) fn take(&self) -> bool {
        let taken =
            self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= 10).then_some(left - 10));
        taken.is_ok()
    }

    /// A tenth for each success.
    pub(crate) fn give(&self) {
        let most = self.most;
        let update = |left: i64| (left < most).then_some(left + 1);
        // An error says that there are as many as there may be.
        let _full = self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

/// The attempts at one thing.
#[derive(Debug)]
pub(crate) struct Attempts {
    made: u32,
    allowed: u32,
    first: Option<Error>,
}

impl Attempts {
    pub(crate) fn new(retries: u32) -> Self {
        Self { made: 0, allowed: retries, first: None }
    }

    /// Notes a failure. Answers how long to wait before the next attempt, or the error to end with.
    pub(crate) fn failed(&mut self, error: Error, may_retry: bool, budget: &Budget) -> Result<Duration, Error> {
        self.made += 1;
        // What goes wrong while a replacement is looked for says less than what made it necessary.
        let meaningful = match &self.first {
            Some(first) if !matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied) => {
                first.clone()
            }
            _ => error,
        };
        self.first.get_or_insert_with(|| meaningful.clone());
        if !may_retry && self.made == 1 {
            return Err(meaningful);
        }
        let is_over = !may_retry || self.made > self.allowed;
        if is_over || !budget.take() {
            let source = Box::new(meaningful);
            return Err(Error::Exhausted { source, attempts: self.made, budget_is_spent: !is_over });
        }
        Ok(back_off(self.made))
    }

    /// Notes a failure that many share, which the first of them has answered for: the others only do not go on for ever.
    pub(crate) fn failed_with_others(&mut self, error: Error) -> Result<(), Error> {
        self.made += 1;
        let source = self.first.get_or_insert(error).clone();
        match self.made > self.allowed {
            true => Err(Error::Exhausted { source: Box::new(source), attempts: self.made, budget_is_spent: false }),
            false => Ok(()),
        }
    }

    /// Lowers the number of retries to at most this.
    pub(crate) fn allow_at_most(&mut self, retries: u32) {
        self.allowed = self.allowed.min(retries);
    }

    /// After progress the count begins anew.
    pub(crate) fn reset(&mut self) {
        self.made = 0;
        self.first = None;
    }
}

/// Twice as long each time, up to five seconds, and not the same for all clients.
fn back_off(attempt: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);
    let time = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    // The clock's last digits are as good as chance.
    let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_nanos());
    time.mul_f64(0.75 + f64::from(nanos % 1000) / 2000.0)
}

/// Servers that failed, told to the manager so that it names others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried {
    hosts: Vec<(String, &'static str)>,
}

impl Tried {
    /// `host` as it was in the redirect.
    pub(crate) fn add(&mut self, host: &str, error: &Error) {
        if !self.hosts.iter().any(|(known, _)| known == host) {
            self.hosts.push((host.to_owned(), error.tried_reason()));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.hosts.clear();
    }

    /// `tried=a,b&triedrc=ioerr,enoent`, or nothing.
    pub(crate) fn opaque(&self) -> String {
        if self.hosts.is_empty() {
            return String::new();
        }
        let (hosts, reasons): (Vec<_>, Vec<_>) =
            self.hosts.iter().map(|(host, reason)| (host.as_str(), *reason)).unzip();
        format!("tried={}&triedrc={}", hosts.join(","), reasons.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Error {
        Error::disconnected("h:1", "reset".into())
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let budget = Budget::new(10);
        let mut attempts = Attempts::new(1);
        assert!(attempts.failed(lost(), true, &budget).is_ok());
        let other = Error::Connect { host: "h:2".into(), reason: "refused".into(), hint: None };
        let error = attempts.failed(other, true, &budget).unwrap_err();
        assert!(error.to_string().contains("reset") && error.to_string().contains("2 attempts"), "{error}");
    }

    #[test]
    fn a_spent_budget_ends_the_attempts_and_says_so() {
        let budget = Budget::new(1);
        let mut attempts = Attempts::new(5);
        assert!(attempts.failed(lost(), true, &budget).is_ok());
        let error = attempts.failed(lost(), true, &budget).unwrap_err();
        assert!(error.to_string().contains("no retries are left"), "{error}");
        (0..10).for_each(|_| budget.give());
        assert!(budget.take());
    }

    #[test]
    fn hosts_that_failed_are_listed_with_a_reason_each() {
        let mut tried = Tried::default();
        tried.add("a", &lost());
        tried.add("b", &Error::Server { host: "b:1".into(), path: "/x".into(), code: 3011, message: String::new() });
        tried.add("a", &lost());
        assert_eq!(tried.opaque(), "tried=a,b&triedrc=srverr,enoent");
    }
}
