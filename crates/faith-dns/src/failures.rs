//! Failures to resolve, kept for a while (RFC 9520): a server that has failed a question is not asked the same again at
//! once, however many clients ask.
//!
//! Each further failure in a row is kept for twice as long as the one before.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Key;
use crate::entry::Entry;

/// The time for which a first failure is kept: a second at least (RFC 9520 section 3.2).
const FIRST: Duration = Duration::from_secs(1);

/// The longest time for which one is kept. The RFC permits five minutes; after an outage clients wait no longer than this.
const MOST: Duration = Duration::from_secs(30);

/// The most questions with failures.
const PLACES: usize = 4096;

/// A server's failure to answer a question.
#[derive(Debug)]
pub(crate) struct Failure<S> {
    server: S,
    /// The error that the server gave; `None` if it gave no response.
    pub(crate) response: Option<Rc<Entry>>,
    pause: Duration,
    until: Instant,
}

impl<S> Failure<S> {
    /// Returns true if the next failure is no longer one in a row.
    fn is_past(&self, now: Instant) -> bool {
        now >= self.until + self.pause
    }
}

/// The failures of servers `S` by question.
#[derive(Debug)]
pub(crate) struct Failures<S>(HashMap<Key, Vec<Failure<S>>>);

impl<S> Default for Failures<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: PartialEq> Failures<S> {
    /// The server's failure, while it is kept.
    pub(crate) fn get(&self, key: &Key, server: &S) -> Option<&Failure<S>> {
        let failure = self.0.get(key)?.iter().find(|failure| failure.server == *server)?;
        (Instant::now() < failure.until).then_some(failure)
    }

    pub(crate) fn insert(&mut self, key: Key, server: S, response: Option<Rc<Entry>>) {
        let now = Instant::now();
        if self.0.len() >= PLACES && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let failures = self.0.entry(key).or_default();
        let before = failures.iter().position(|failure| failure.server == server);
        let before = before.map(|place| failures.swap_remove(place)).filter(|before| !before.is_past(now));
        let pause = before.map_or(FIRST, |before| (before.pause * 2).min(MOST));
        failures.push(Failure { server, response, pause, until: now + pause });
    }

    /// Forgets the failures of a question that a server has answered.
    pub(crate) fn remove(&mut self, key: &Key, server: &S) {
        if let Some(failures) = self.0.get_mut(key) {
            failures.retain(|failure| failure.server != *server);
            if failures.is_empty() {
                self.0.remove(key);
            }
        }
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, failures| {
            failures.retain(|failure| !failure.is_past(now));
            !failures.is_empty()
        });
        // A flood of names that fail: without this memory each costs a query again, as it did the first time.
        if self.0.len() >= PLACES {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests;
