//! Finds the first matching rule of a long list without a scan.
//!
//! Rules are grouped by destination prefix and, within one, by source prefix; each pair of prefixes
//! stores its first rule for each port. A look-up visits the few destination prefixes that hold the
//! destination, innermost first, and the few source prefixes of each that hold the client. It takes
//! the smallest place that it meets. Every prefix stores the smallest place among its own rules and
//! those of the prefixes around it, so the look-up ends as soon as no smaller place can come.
//!
//! The index is a handful of arrays whose size depends on the number of rules and port ranges only.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::rule::{Action, Rule};
use super::segments::{NO_RULE, Ports, Segment};
use crate::nest::Nest;
use crate::protocol::Protocol;

/// The index of a list of rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    destinations: Nest<Ipv4Addr, Destination>,
    /// One set of source prefixes for each destination prefix.
    sources: Nest<Ipv6Addr, Source>,
    segments: Vec<Segment>,
}

/// A destination prefix's entry.
#[derive(Clone, Debug)]
struct Destination {
    /// The smallest place of a rule for this prefix or one around it.
    least: usize,
    sources: Range<usize>,
}

/// A source prefix's entry, under its destination prefix.
#[derive(Clone, Debug)]
struct Source {
    /// The smallest place of a rule for this prefix or one around it.
    least: usize,
    all: Ports,
    denies: Ports,
}

impl Index {
    /// The index of the rules that match `protocol`.
    pub(super) fn new(rules: &[Rule], protocol: Protocol) -> Self {
        let matching = |(_, rule): &(usize, &Rule)| rule.protocol.is_none_or(|only| only == protocol);
        let mut sorted: Vec<(usize, &Rule)> = rules.iter().enumerate().filter(matching).collect();
        sorted.sort_unstable_by_key(|(place, rule)| (rule.destination, rule.source, *place));

        let mut index = Self::default();
        for group in sorted.chunk_by(|(_, one), (_, other)| one.destination == other.destination) {
            index.add_destination(group);
        }
        index
    }

    /// The place of the first matching rule, without permit rules whose destination prefix is shorter
    /// than `permit_length`.
    #[inline]
    pub(super) fn first(
        &self,
        client: Ipv6Addr,
        destination: Ipv4Addr,
        port: u16,
        permit_length: u8,
    ) -> Option<usize> {
        let mut first = NO_RULE;
        let destinations = self.destinations.holding(0..self.destinations.len(), destination.to_bits());
        for (prefix, Destination { least, sources }) in destinations {
            if *least >= first {
                break;
            }
            let permits = prefix.length() >= permit_length;
            for (_, source) in self.sources.holding(sources.clone(), client.to_bits()) {
                if source.least >= first {
                    break;
                }
                let ports = if permits { &source.all } else { &source.denies };
                first = first.min(ports.first(&self.segments, port));
            }
        }
        (first != NO_RULE).then_some(first)
    }

    /// One port of each kind: every other port has the same first rules for `client` and `destination` as the
    /// next higher one of these.
    pub(super) fn kinds_of_ports(
        &self,
        client: Ipv6Addr,
        destination: Ipv4Addr,
    ) -> impl Iterator<Item = u16> {
        let destinations = self.destinations.holding(0..self.destinations.len(), destination.to_bits());
        destinations
            .flat_map(move |(_, held)| self.sources.holding(held.sources.clone(), client.to_bits()))
            .flat_map(|(_, source)| {
                source.all.lasts(&self.segments).chain(source.denies.lasts(&self.segments))
            })
    }

    /// Adds the rules for one destination prefix.
    fn add_destination(&mut self, rules: &[(usize, &Rule)]) {
        let Some((_, Rule { destination, .. })) = rules.first() else { return };
        let start = self.sources.len();
        for group in rules.chunk_by(|(_, one), (_, other)| one.source == other.source) {
            self.add_source(start, group);
        }

        let sources = start..self.sources.len();
        let own = least(rules);
        self.destinations.push(0, *destination, |around| {
            let least = around.map_or(own, |around| own.min(around.least));
            Destination { least, sources }
        });
    }

    /// Adds the rules for one pair of prefixes. The destination's sources begin at `start`.
    fn add_source(&mut self, start: usize, rules: &[(usize, &Rule)]) {
        let Some((_, Rule { source, .. })) = rules.first() else { return };
        let denying: Vec<_> = rules.iter().copied().filter(|(_, rule)| rule.action == Action::Deny).collect();
        let all = Ports::new(rules, &mut self.segments);
        let denies =
            if denying.len() == rules.len() { all.clone() } else { Ports::new(&denying, &mut self.segments) };

        let own = least(rules);
        self.sources.push(start, *source, |around| {
            let least = around.map_or(own, |around| own.min(around.least));
            Source { least, all, denies }
        });
    }
}

fn least(rules: &[(usize, &Rule)]) -> usize {
    rules.iter().map(|(place, _)| *place).min().unwrap_or(NO_RULE)
}
