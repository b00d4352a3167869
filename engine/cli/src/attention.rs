//! What servers make us wait for, and what goes wrong at them and is put right. A program that reads a million baskets
//! must not say so a million times: trouble is told once for each host and kind, and waiting while it lasts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eos_io::{Listener, Notice};

use crate::console::Console;
use crate::progress::Slot;

/// Pauses that are shorter, all together, are of no interest to anybody.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps what servers say. Clones share it.
#[derive(Clone, Default)]
pub struct Attention {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    told: HashSet<(&'static str, String)>,
    /// How often requests about a path were made again.
    retries: HashMap<String, u64>,
    waiting: Option<Waiting>,
}

struct Waiting {
    host: String,
    message: String,
    since: Instant,
    until: Instant,
}

impl Attention {
    /// Takes notices, and tells what is new of them.
    pub fn listener(&self, console: Console, slot: Slot) -> Listener {
        let own = self.clone();
        Arc::new(move |notice| {
            if let Some(message) = own.hear(notice, Instant::now()) {
                slot.clear();
                console.warning(&message);
            }
        })
    }

    /// What is waited for at the moment: `waiting for eos.example:1094 (staging), 40 s`.
    pub fn waiting(&self) -> Option<String> {
        self.waiting_at(Instant::now())
    }

    fn waiting_at(&self, now: Instant) -> Option<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = inner.waiting.as_ref().filter(|waiting| now <= waiting.until)?;
        let seconds = now.saturating_duration_since(waiting.since).as_secs();
        Some(format!("waiting for {}{}, {seconds} s", waiting.host, in_brackets(&waiting.message)))
    }

    /// How often requests about a file at a server were made again.
    pub fn retries(&self, file: &str) -> u64 {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, place)) = file.split_once("://") else { return 0 };
        let place = place.split(['?', '#']).next().unwrap_or_default();
        let is_of = |path: &str| {
            let path = path.split('?').next().unwrap_or_default().trim_matches('/');
            !path.is_empty() && place.strip_suffix(path).is_some_and(|front| front.ends_with('/'))
        };
        inner.retries.iter().filter(|(path, _)| is_of(path)).map(|(_, count)| count).sum()
    }

    /// The warning that a notice is worth, if it is the first of its kind.
    fn hear(&self, notice: Notice, now: Instant) -> Option<String> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, host, message) = match notice {
            Notice::Waiting { host, time, message } => {
                // The next request to wait comes a little after the last pause has ended.
                let goes_on = |known: &Waiting| known.host == host && now <= known.until + PATIENCE;
                let since = inner.waiting.take().filter(goes_on).map_or(now, |known| known.since);
                let until = now + time;
                let is_long = until.saturating_duration_since(since) >= PATIENCE;
                let told = format!("{host} asks to wait{}", in_brackets(&message));
                inner.waiting = Some(Waiting { host: host.clone(), message, since, until });
                if !is_long {
                    return None;
                }
                ("wait", host, told)
            }
            Notice::Retry { host, path, reason } => {
                *inner.retries.entry(path).or_default() += 1;
                ("retry", host, format!("{reason}; it is tried again"))
            }
            Notice::Failover { host, reason } => ("failover", host, format!("{reason}; another server is asked")),
            Notice::Hedge { host } => {
                let told = format!("{host} is slow; another server is asked as well");
                ("hedge", host, told)
            }
            _ => return None,
        };
        inner.told.insert((kind, host.clone())).then(|| match message.contains(&host) {
            true => message,
            false => format!("{host}: {message}"),
        })
    }
}

fn in_brackets(message: &str) -> String {
    match message.trim() {
        "" => String::new(),
        message => format!(" ({message})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(host: &str) -> Notice {
        let reason = format!("{host}: the connection was lost");
        Notice::Retry { host: host.into(), path: "/d/x.root?authz=***".into(), reason }
    }

    fn wait(seconds: u64) -> Notice {
        Notice::Waiting { host: "a:1094".into(), time: Duration::from_secs(seconds), message: "staging".into() }
    }

    #[test]
    fn trouble_is_told_once_for_each_host_and_kind() {
        let (attention, now) = (Attention::default(), Instant::now());
        assert_eq!(
            attention.hear(retry("a:1094"), now).as_deref(),
            Some("a:1094: the connection was lost; it is tried again")
        );
        assert_eq!(attention.hear(retry("a:1094"), now), None);
        assert!(attention.hear(retry("b:1094"), now).is_some());
        assert!(attention.hear(Notice::Failover { host: "a:1094".into(), reason: "no space".into() }, now).is_some());
        assert_eq!(
            attention.hear(Notice::Hedge { host: "a:1094".into() }, now).as_deref(),
            Some("a:1094 is slow; another server is asked as well")
        );
    }

    #[test]
    fn retries_are_counted_by_file() {
        let (attention, now) = (Attention::default(), Instant::now());
        attention.hear(retry("a:1094"), now);
        attention.hear(retry("a:1094"), now);
        for (file, count) in
            [("root://a//d/x.root", 2), ("root://a//d/x.root?y", 2), ("root://a//dx.root", 0), ("/d/x.root", 0)]
        {
            assert_eq!(attention.retries(file), count, "{file}");
        }
    }

    #[test]
    fn waiting_is_shown_while_it_lasts_and_told_when_it_is_long() {
        let (attention, start) = (Attention::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(attention.waiting_at(start), None);
        assert_eq!(attention.hear(wait(3), start), None, "3 s are no news");
        assert_eq!(attention.waiting_at(at(2)).as_deref(), Some("waiting for a:1094 (staging), 2 s"));
        assert_eq!(attention.hear(wait(3), at(3)).as_deref(), Some("a:1094 asks to wait (staging)"));
        assert_eq!(attention.hear(wait(3), at(6)), None, "once is enough");
        assert_eq!(attention.waiting_at(at(8)).as_deref(), Some("waiting for a:1094 (staging), 8 s"));
        assert_eq!(attention.waiting_at(at(10)), None, "it is over");
        attention.hear(wait(3), at(100));
        assert_eq!(attention.waiting_at(at(101)).as_deref(), Some("waiting for a:1094 (staging), 1 s"));
    }
}
