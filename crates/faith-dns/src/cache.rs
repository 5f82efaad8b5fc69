//! Responses of upstreams, for as long as their TTLs last and while there is room.
//!
//! The cache has two generations. When the young one has half the room, it becomes the old one, and the
//! former old one goes. A response of the old generation that is used moves to the young one, so the responses
//! that go are those that were not used for long, and no list is kept in order.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::counters::Counters;
use crate::entry::{Entry, Made};
use crate::wire::{self, Question};

/// Memory of an entry beside its octets, in bytes: its places in tables, and what the allocator adds. Measured with the
/// allocator of glibc.
const OVERHEAD: usize = 128;

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
    counters: Arc<Counters>,
}

impl Cache {
    /// A cache of at most `bytes`, about. One of 0 bytes keeps nothing.
    pub(crate) fn new(bytes: usize, counters: Arc<Counters>) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), used: 0, room: bytes / 2, counters }
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

    /// Keeps an answer beside the response of which it was made, if that is kept and was used lately.
    pub(crate) fn keep(&mut self, key: &Key, made: Made) {
        let Some(entry) = self.young.get(key) else { return };
        let before = entry.size();
        entry.keep(made);
        self.used = (self.used + entry.size()).saturating_sub(before);
        if self.used > self.room {
            self.turn();
        }
    }

    pub(crate) fn insert(&mut self, key: Key, entry: Rc<Entry>) {
        let overhead = OVERHEAD + key.0.len();
        let size = overhead + entry.size();
        if size > self.room {
            return;
        }
        if self.used + size > self.room {
            self.turn();
        }
        self.used += size;
        if let Some(replaced) = self.young.insert(key, entry) {
            self.used = self.used.saturating_sub(overhead + replaced.size());
        }
    }

    /// Makes the young generation the old one.
    fn turn(&mut self) {
        let gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.used = 0;
        let fresh = gone.values().filter(|entry| entry.is_fresh()).count();
        self.counters.cache_evictions.add_all(fresh);
    }
}

#[cfg(test)]
mod tests;
