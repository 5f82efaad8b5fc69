//! Asks the upstreams.
//!
//! The server that answered last is asked first. When it takes longer than usual, the next one is asked as well, and
//! the first answer counts: a server that is gone costs a client a fraction of a second. An error that another server may
//! not have makes way for the next at once. Each further round waits longer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, pending};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::ask::Ask;
use crate::cache::Key;
use crate::counters::Counters;
use crate::entry::Entry;
use crate::failures::Failures;
use crate::loops::{self, Company, Probes};
use crate::peer::Peer;
use crate::peers::Peers;
use crate::upstream::Upstream;
use crate::wire;

/// The rounds in which servers are asked, each with twice the time of the one before.
const ROUNDS: u32 = 3;

/// The time after which the client gets an error, unless one server may take longer. The C library's resolver waits for
/// 5 seconds.
const PATIENCE: Duration = Duration::from_millis(4500);

/// The times of asking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The time that each server has in the first round.
    pub(crate) timeout: Duration,
    /// All servers are asked at once, however fast the first one usually is.
    pub(crate) all_servers: bool,
}

impl Pace {
    /// The time after which the next server is asked as well.
    fn delay(self, asked: &Peer) -> Duration {
        if self.all_servers { Duration::ZERO } else { asked.round_trip.usual().min(self.timeout) }
    }
}

/// Asks upstreams.
pub(crate) struct Resolver {
    peers: Rc<Peers>,
    failures: RefCell<Failures<Upstream>>,
    pace: Pace,
    /// The place of the server that is asked first.
    first: Cell<usize>,
    pub(crate) probes: Probes,
    counters: Arc<Counters>,
}

impl Resolver {
    pub(crate) fn new(peers: Rc<Peers>, pace: Pace, counters: Arc<Counters>) -> Self {
        let (failures, first, probes) = (RefCell::default(), Cell::new(0), Probes::default());
        Self { peers, failures, pace, first, probes, counters }
    }

    /// The best response that an upstream gives; `None` if none answers in time. Upstreams that have just failed the question
    /// are not asked: their errors are what there is. `company` are the queries that wait for the response.
    pub(crate) async fn ask(&self, ask: &Ask, company: &Company) -> Option<Rc<Entry>> {
        let mut found = Found::default();
        let peers: Vec<(usize, Rc<Peer>)> =
            self.in_turn().into_iter().filter(|(_, peer)| !self.has_failed(ask, peer, &mut found)).collect();
        if !found.is_final {
            // An error is better than nothing, also when the time is over.
            let limit = PATIENCE.max(self.pace.timeout);
            let _ = timeout(limit, self.ask_in_rounds(ask, company, &peers, &mut found)).await;
            for (_, peer) in peers.iter().filter(|(_, peer)| found.running.contains(peer.upstream())) {
                peer.outrun();
            }
            found.end();
        }
        if let Some(key) = key_of(ask) {
            let mut failures = self.failures.borrow_mut();
            for (server, response) in found.failed {
                failures.insert(key.clone(), server, response);
            }
        }
        if found.best.is_none() {
            self.counters.upstream_failures.add();
        }
        found.best
    }

    async fn ask_in_rounds(
        &self,
        ask: &Ask,
        company: &Company,
        peers: &[(usize, Rc<Peer>)],
        found: &mut Found,
    ) {
        for round in 0..ROUNDS {
            // A loop shows in the first round.
            let company = (round == 0).then_some(company);
            self.ask_each(ask, company, peers, self.pace.timeout * 2_u32.pow(round), found).await;
            // Every server that works has said the same kind of thing.
            if found.best.is_some() {
                return;
            }
        }
    }

    /// Asks the servers until one gives a final response, the next one when those before have failed or take longer than
    /// usual. Each has the time `limit`.
    async fn ask_each(
        &self,
        ask: &Ask,
        company: Option<&Company>,
        peers: &[(usize, Rc<Peer>)],
        limit: Duration,
        found: &mut Found,
    ) {
        let attempt = async |peer: Rc<Peer>, place: usize| {
            let began = Instant::now();
            let response = tokio::select! {
                biased;
                response = peer.ask(ask, limit) => response,
                response = self.loops_back(&peer, ask, company, limit) => response,
            };
            (peer, place, response, began.elapsed())
        };
        let mut attempts = FuturesUnordered::new();
        let mut next = peers.iter().peekable();
        let mut due = Instant::now();
        loop {
            while let Some((place, peer)) = next.next_if(|_| due <= Instant::now()) {
                if peer.rests() {
                    continue;
                }
                found.running.push(peer.upstream().clone());
                due = Instant::now() + self.pace.delay(peer);
                attempts.push(attempt(Rc::clone(peer), *place));
            }
            tokio::select! {
                biased;
                Some((peer, place, response, taken)) = attempts.next() => {
                    self.take(ask, &peer, response, taken, found);
                    if found.is_final {
                        self.first.set(place);
                        return;
                    }
                    due = Instant::now();
                }
                () = sleep_until(due), if next.peek().is_some() => {}
                else => return,
            }
        }
    }

    /// The error of a question that comes back to this server. It never comes otherwise.
    async fn loops_back(
        &self,
        peer: &Peer,
        ask: &Ask,
        company: Option<&Company>,
        limit: Duration,
    ) -> Option<Entry> {
        let Some(company) = company.filter(|_| !loops::is_probe(&ask.question)) else {
            return pending().await;
        };
        join(sleep(peer.round_trip.usual().min(self.pace.timeout / 2)), company.joined()).await;
        let probe = self.probes.begin(ask);
        tokio::select! {
            biased;
            () = probe.back() => {}
            // The upstream knows an answer by itself.
            _ = peer.ask(&probe.ask, limit) => return pending().await,
        }
        self.peers.tell_loop(peer);
        loops::failure(ask)
    }

    /// Takes the end of an attempt: a response, or none.
    fn take(&self, ask: &Ask, peer: &Peer, response: Option<Entry>, taken: Duration, found: &mut Found) {
        found.running.retain(|running| running != peer.upstream());
        let Some(entry) = response.map(Rc::new) else { return found.fail(peer.upstream(), None) };
        found.take(&entry);
        if is_error(&entry) {
            found.fail(peer.upstream(), Some(entry));
        } else {
            peer.round_trip.learn(taken);
            peer.record.set_loop(false);
            found.failed.retain(|(failed, _)| failed != peer.upstream());
            self.forget_failure(ask, peer.upstream());
        }
    }

    /// The servers with their places, the one that answered last first.
    fn in_turn(&self) -> Vec<(usize, Rc<Peer>)> {
        let mut peers: Vec<_> = self.peers.list().into_iter().enumerate().collect();
        let first = self.first.get();
        if first < peers.len() {
            peers.rotate_left(first);
        }
        peers
    }

    /// Returns true if the server's failure of this question is still kept, and takes its error.
    fn has_failed(&self, ask: &Ask, peer: &Peer, found: &mut Found) -> bool {
        let Some(key) = key_of(ask) else { return false };
        let failures = self.failures.borrow();
        let Some(failure) = failures.get(&key, peer.upstream()) else { return false };
        if let Some(response) = &failure.response {
            found.take(response);
        }
        true
    }

    fn forget_failure(&self, ask: &Ask, upstream: &Upstream) {
        if let Some(key) = key_of(ask) {
            self.failures.borrow_mut().remove(&key, upstream);
        }
    }
}

/// The outcome of asking.
#[derive(Default)]
struct Found {
    best: Option<Rc<Entry>>,
    /// No other server needs to be asked.
    is_final: bool,
    /// The servers that have been asked and have not answered yet.
    running: Vec<Upstream>,
    /// The servers that failed, with their errors.
    failed: Vec<(Upstream, Option<Rc<Entry>>)>,
}

impl Found {
    fn take(&mut self, entry: &Rc<Entry>) {
        let is_final = !is_error(entry) || is_bogus(entry);
        if (is_final && !self.is_final) || self.best.is_none() {
            self.best = Some(Rc::clone(entry));
        }
        self.is_final |= is_final;
    }

    /// Ends the asking. A server that another one has outrun has not failed; one that the time has outrun has.
    fn end(&mut self) {
        for silent in std::mem::take(&mut self.running) {
            if !self.is_final {
                self.fail(&silent, None);
            }
        }
    }

    fn fail(&mut self, server: &Upstream, response: Option<Rc<Entry>>) {
        self.failed.retain(|(failed, _)| failed != server);
        self.failed.push((server.clone(), response));
    }
}

/// The key of a question's failures. A query with RD=0 has none: a server may refuse that alone.
fn key_of(ask: &Ask) -> Option<Key> {
    let is_kept = ask.flags & wire::RECURSION_DESIRED != 0;
    is_kept.then(|| Key::new(&ask.question, ask.flags, ask.dnssec_ok))
}

/// Returns true for an error, or for a part of a response where it should be whole: a datagram that is truncated is no response
/// yet.
fn is_error(entry: &Entry) -> bool {
    entry.flags() & wire::TRUNCATED != 0 || !matches!(entry.code(), wire::NO_ERROR | wire::NAME_ERROR)
}

/// Returns true if the upstream found the data bogus: another one that does not validate must not be asked.
fn is_bogus(entry: &Entry) -> bool {
    entry.code() == wire::SERVER_FAILURE
        && entry.message().is_some_and(|message| faith_dns64::failed_validation(&message))
}

#[cfg(test)]
mod tests;
