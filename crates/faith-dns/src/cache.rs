//! Responses of upstreams, for as long as their TTLs last and while there is room.
//!
//! The cache has two generations. When the young one has half the room, it becomes the old one, and the
//! former old one goes. A response of the old generation that is used moves to the young one, so the responses
//! that go are those that were not used for long, and no list is kept in order.

use std::collections::HashMap;
use std::rc::Rc;

use crate::entry::{Entry, Made};
use crate::wire::{self, Question};

/// Memory of a key and its place in a table, in bytes, about.
const OVERHEAD: usize = 64;

/// A question, and the flags on which the response depends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(Box<[u8]>);

impl Key {
    pub(crate) fn new(question: &Question, flags: u16, dnssec_ok: bool) -> Self {
        let mut key = Vec::with_capacity(question.name.len() + 5);
        question.write(&mut key);
        // Labels have lengths below 64, which no letter is.
        if let Some(name) = key.get_mut(..question.name.len()) {
            name.make_ascii_lowercase();
        }
        let disabled = flags & wire::CHECKING_DISABLED != 0;
        key.push(u8::from(disabled) | u8::from(dnssec_ok) << 1);
        Self(key.into_boxed_slice())
    }
}

/// A bounded number of bytes of responses.
#[derive(Debug)]
pub(crate) struct Cache {
    young: HashMap<Key, Rc<Entry>>,
    old: HashMap<Key, Rc<Entry>>,
    /// Bytes in the young generation.
    used: usize,
    /// Bytes that one generation may have.
    room: usize,
}

impl Cache {
    /// A cache of at most `bytes`, about.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), used: 0, room: bytes / 2 }
    }

    /// The response to a question, which may have expired.
    pub(crate) fn get(&mut self, key: &Key) -> Option<Rc<Entry>> {
        if let Some(entry) = self.young.get(key) {
            return Some(Rc::clone(entry));
        }
        let (key, entry) = self.old.remove_entry(key)?;
        self.insert(key, Rc::clone(&entry));
        Some(entry)
    }

    /// Keeps an answer beside the response of which it was made.
    pub(crate) fn keep(&mut self, entry: &Entry, made: Made) {
        let before = entry.size();
        entry.keep(made);
        self.used = (self.used + entry.size()).saturating_sub(before);
    }

    pub(crate) fn insert(&mut self, key: Key, entry: Rc<Entry>) {
        let size = OVERHEAD + key.0.len() + entry.size();
        if size > self.room {
            return;
        }
        if self.used + size > self.room {
            self.old = std::mem::take(&mut self.young);
            self.used = 0;
        }
        self.used += size;
        if let Some(replaced) = self.young.insert(key, entry) {
            self.used = self.used.saturating_sub(OVERHEAD + replaced.size());
        }
    }
}

#[cfg(test)]
mod tests;
