//! Finds the first rule for a port, among the rules for one pair of prefixes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{Range, RangeInclusive};

use super::rule::Rule;

/// Stands for "no rule": a place behind every other.
pub(super) const NO_RULE: usize = usize::MAX;

/// Neighbouring ports with the same first rule, up to `last`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    last: u16,
    rule: usize,
}

/// The first rule for each port.
#[derive(Clone, Debug)]
pub(super) enum Ports {
    /// The same rule for every port.
    Every(usize),
    /// Segments in ascending order and without gaps, as a range of the index's array of segments.
    Segments(Range<usize>),
}

impl Ports {
    /// Takes rules with their places, sorted by place, and appends their segments to `segments`.
    pub(super) fn new(rules: &[(usize, &Rule)], segments: &mut Vec<Segment>) -> Self {
        let start = segments.len();
        match rules {
            [] => return Self::Every(NO_RULE),
            [(place, Rule { ports: None, .. }), ..] => return Self::Every(*place),
            _ => segments.extend(sweep(rules)),
        }
        Self::Segments(start..segments.len())
    }

    /// The place of the first rule for `port`.
    #[inline]
    pub(super) fn first(&self, segments: &[Segment], port: u16) -> usize {
        match self {
            Self::Every(place) => *place,
            Self::Segments(range) => {
                let segments = segments.get(range.clone()).unwrap_or_default();
                let holding = segments.partition_point(|segment| segment.last < port);
                segments.get(holding).map_or(NO_RULE, |segment| segment.rule)
            }
        }
    }

    /// The last port of each segment: between two of them the first rule stays the same.
    pub(super) fn lasts<'a>(&self, segments: &'a [Segment]) -> impl Iterator<Item = u16> + use<'a> {
        let range = match self {
            Self::Every(_) => 0..0,
            Self::Segments(range) => range.clone(),
        };
        segments.get(range).unwrap_or_default().iter().map(|segment| segment.last)
    }
}

/// Sweeps the ports from 0 upwards. A heap holds the rules for the current port, the first on top; a
/// rule that has ended leaves the heap when it comes to the top.
fn sweep(rules: &[(usize, &Rule)]) -> Vec<Segment> {
    let mut spans: Vec<(RangeInclusive<u16>, usize)> = Vec::new();
    for (place, rule) in rules {
        let Some(ports) = &rule.ports else {
            // This rule has every port, so no rule behind it is ever the first.
            spans.push((0..=u16::MAX, *place));
            break;
        };
        spans.extend(ports.ranges().iter().map(|range| (range.clone(), *place)));
    }
    spans.sort_unstable_by_key(|(range, _)| *range.start());

    let starts = spans.iter().map(|(range, _)| *range.start());
    let behinds = spans.iter().filter_map(|(range, _)| range.end().checked_add(1));
    let mut bounds: Vec<u16> = starts.chain(behinds).chain([0]).collect();
    bounds.sort_unstable();
    bounds.dedup();

    let mut waiting = spans.iter().peekable();
    let mut open = BinaryHeap::new();
    let mut segments: Vec<Segment> = Vec::with_capacity(bounds.len());
    for (index, &bound) in bounds.iter().enumerate() {
        while let Some((range, place)) = waiting.next_if(|(range, _)| *range.start() <= bound) {
            open.push(Reverse((*place, *range.end())));
        }
        while open.peek().is_some_and(|Reverse((_, end))| *end < bound) {
            open.pop();
        }
        let rule = open.peek().map_or(NO_RULE, |Reverse((place, _))| *place);
        let last = bounds.get(index + 1).map_or(u16::MAX, |next| next - 1);
        match segments.last_mut() {
            Some(previous) if previous.rule == rule => previous.last = last,
            _ => segments.push(Segment { last, rule }),
        }
    }
    segments
}
