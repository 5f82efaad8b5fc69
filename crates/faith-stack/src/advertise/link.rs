//! One link: the prefixes that its hosts know, and those that they have to forget.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use faith_packet::pref64::{DhcpFlags, Heard, MAX_PREFIXES, advertisement, parse, solicitation};
use faith_packet::prefix::FaithPrefix;
use faith_sys::icmpv6::{Received, RouterSocket};

use super::place::Place;
use super::schedule::{Random, Schedule};
use super::status::{AdvertiserEvent, LinkState, LinkStatus};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Advertisements that withdraw a prefix: `MAX_FINAL_RTR_ADVERTISEMENTS` of RFC 4861 section 10.
const FINAL: u8 = 3;

/// The lifetimes and intervals of all links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) lifetime: u16,
    pub(super) most: Duration,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    place: Option<Place>,
    state: Option<LinkState>,
    schedule: Schedule,
    prefixes: Vec<FaithPrefix>,
    /// Prefixes to withdraw, each with the number of advertisements left.
    withdrawn: Vec<(FaithPrefix, u8)>,
    /// The flags of the link's default router.
    flags: DhcpFlags,
    sent: u64,
    failed: u64,
    solicitations: u64,
}

impl Link {
    pub(super) fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            place: None,
            state: None,
            schedule: Schedule::start(now),
            prefixes: Vec::new(),
            withdrawn: Vec::new(),
            flags: DhcpFlags::default(),
            sent: 0,
            failed: 0,
            solicitations: 0,
        }
    }

    pub(super) fn status(&self) -> LinkStatus {
        LinkStatus {
            name: self.name.clone(),
            state: self.state.clone().unwrap_or(LinkState::Absent),
            source: self.place.map(|place| place.source()),
            sent: self.sent,
            failed: self.failed,
            solicitations: self.solicitations,
        }
    }

    /// Advertises these prefixes from now on, and withdraws all others.
    pub(super) fn advertise(&mut self, prefixes: &[FaithPrefix], now: Instant) {
        if self.prefixes == prefixes {
            return;
        }
        // Hosts that were told nothing have nothing to forget.
        if self.sent > 0 {
            let gone = self.prefixes.iter().filter(|prefix| !prefixes.contains(prefix));
            self.withdrawn.extend(gone.map(|prefix| (*prefix, FINAL)));
        }
        self.withdrawn.retain(|(prefix, _)| !prefixes.contains(prefix));
        self.prefixes = prefixes.to_vec();
        if self.place.is_some() {
            self.schedule.soon(now);
        }
    }

    /// The time of the next advertisement, if there is one.
    pub(super) fn next(&self) -> Option<Instant> {
        let is_idle = self.prefixes.is_empty() && self.withdrawn.is_empty();
        let sends = self.place.is_some() && !is_idle && self.state != Some(LinkState::Conflict);
        sends.then(|| self.schedule.next())
    }

    /// True if hosts know a prefix that no advertisement has withdrawn yet.
    pub(super) fn owes_end(&self) -> bool {
        self.next().is_some() && self.withdrawn.iter().any(|(_, left)| *left == FINAL)
    }

    /// Looks for the interface, and begins again if it is another one than before.
    pub(super) fn look(
        &mut self,
        socket: &RouterSocket,
        now: Instant,
        tell: &mut impl FnMut(AdvertiserEvent),
    ) {
        let place = Place::find(&self.name);
        if place == self.place && self.state.is_some() {
            return;
        }
        self.place = place;
        let Some(Place { index, .. }) = place else { return self.turn(LinkState::Absent, tell) };
        self.schedule = Schedule::start(now);
        self.flags = DhcpFlags::default();
        // The membership of an interface that is back exists already.
        let _ = socket.join_routers(index);
        // Asks the other routers for their flags, this host's own among them. Without an answer there are none.
        let _ = socket.send(&solicitation(), None, ALL_ROUTERS, index, true);
        self.turn(LinkState::Advertising, tell);
    }

    /// Handles a message of this link.
    pub(super) fn hear(
        &mut self,
        message: &[u8],
        received: &Received,
        now: Instant,
        random: Random,
        tell: &mut impl FnMut(AdvertiserEvent),
    ) {
        let Some(place) = self.place.filter(|place| place.index == received.interface) else { return };
        match parse(message, received.source, received.hop_limit) {
            // The host hears its own solicitation.
            Some(Heard::Solicitation) if received.source != place.address => {
                self.solicitations += 1;
                self.schedule.solicited(now, random);
            }
            Some(Heard::Advertisement { .. }) if received.source == place.source() => {
                self.turn(LinkState::Conflict, tell);
            }
            Some(Heard::Advertisement { is_default: true, flags }) if flags != self.flags => {
                self.flags = flags;
                self.schedule.soon(now);
            }
            _ => {}
        }
    }

    /// Sends an advertisement.
    pub(super) fn send(
        &mut self,
        socket: &RouterSocket,
        times: Times,
        now: Instant,
        random: Random,
        tell: &mut impl FnMut(AdvertiserEvent),
    ) {
        let Some(place) = self.place else { return };
        self.schedule.sent(now, times.most, random);
        let gone = self.withdrawn.iter().map(|(prefix, _)| (*prefix, 0));
        let told: Vec<_> = gone
            .chain(self.prefixes.iter().map(|prefix| (*prefix, times.lifetime)))
            .take(MAX_PREFIXES)
            .collect();
        let message = advertisement(self.flags, &told);
        match socket.send(&message, Some(place.source()), ALL_NODES, place.index, false) {
            Ok(()) => {
                self.sent += 1;
                for (_, left) in &mut self.withdrawn {
                    *left -= 1;
                }
                self.withdrawn.retain(|(_, left)| *left > 0);
                if !self.withdrawn.is_empty() {
                    self.schedule.soon(now);
                }
                self.turn(LinkState::Advertising, tell);
            }
            Err(error) => {
                self.failed += 1;
                self.turn(LinkState::Failing(error.to_string()), tell);
            }
        }
    }

    /// Notes the state, and tells of it if it is another one.
    fn turn(&mut self, state: LinkState, tell: &mut impl FnMut(AdvertiserEvent)) {
        if self.state.as_ref() == Some(&state) {
            return;
        }
        self.state = Some(state);
        tell(AdvertiserEvent { link: self.status() });
    }
}
