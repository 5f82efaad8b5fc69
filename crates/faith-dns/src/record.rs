//! The figures of each upstream, as other threads read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::counters::Counter;

/// An upstream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState {
    /// The address or URL.
    pub upstream: String,
    /// The queries to it. Those that were neither answered nor not are under way, or another upstream was faster.
    pub queries: u64,
    /// The queries that it answered, also with an error.
    pub answered: u64,
    /// The queries to which it gave no response in time.
    pub unanswered: u64,
    /// The queries that it put back to this server.
    pub loops: u64,
    /// The upstream's condition.
    pub condition: Condition,
}

/// The condition of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is known to be wrong.
    Good,
    /// It cannot be asked, for this reason, in words that fit behind its name.
    Failing(String),
    /// It asked this server back, and has given no other answer since.
    Loop,
    /// It is this server itself, and is not asked.
    Own,
}

/// The records of the upstreams that are named now, in their order.
pub(crate) type Records = Arc<ArcSwap<Vec<Arc<Record>>>>;

/// The figures of an upstream.
#[derive(Debug, Default)]
pub(crate) struct Record {
    upstream: String,
    pub(crate) queries: Counter,
    pub(crate) answered: Counter,
    pub(crate) unanswered: Counter,
    pub(crate) loops: Counter,
    trouble: ArcSwapOption<String>,
    is_loop: AtomicBool,
    is_own: AtomicBool,
}

impl Record {
    pub(crate) fn new(upstream: String) -> Arc<Self> {
        Arc::new(Self { upstream, ..Self::default() })
    }

    pub(crate) fn set_trouble(&self, trouble: Option<&str>) {
        self.trouble.store(trouble.map(|trouble| Arc::new(trouble.to_owned())));
    }

    pub(crate) fn set_loop(&self, is_loop: bool) {
        self.is_loop.store(is_loop, Ordering::Relaxed);
    }

    pub(crate) fn set_own(&self, is_own: bool) {
        self.is_own.store(is_own, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> UpstreamState {
        UpstreamState {
            upstream: self.upstream.clone(),
            queries: self.queries.get(),
            answered: self.answered.get(),
            unanswered: self.unanswered.get(),
            loops: self.loops.get(),
            condition: self.condition(),
        }
    }

    fn condition(&self) -> Condition {
        if self.is_own.load(Ordering::Relaxed) {
            return Condition::Own;
        }
        match self.trouble.load().as_deref() {
            Some(trouble) => Condition::Failing(trouble.clone()),
            None if self.is_loop.load(Ordering::Relaxed) => Condition::Loop,
            None => Condition::Good,
        }
    }
}
