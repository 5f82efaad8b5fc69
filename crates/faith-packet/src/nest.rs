//! Which of many prefixes an address is inside.
//!
//! Two prefixes are either disjoint or one is inside the other. Sorted, each comes behind those it
//! is inside, and the last one that starts at or before an address is inside every prefix that holds
//! the address (or holds it itself). So one binary search finds that last one, and the links from
//! each prefix to the smallest one around it lead to all that hold the address, innermost first:
//! at most one for each length.

use std::iter;
use std::ops::Range;

use crate::cidr::{Address, Prefix};

/// Sorted sets of prefixes, one behind the other, and something that belongs to each prefix.
#[derive(Clone, Debug)]
pub(crate) struct Nest<A: Address, T> {
    /// Where each prefix starts; apart from all else, so that a search touches little memory.
    starts: Vec<A::Bits>,
    nodes: Vec<Node<A, T>>,
}

#[derive(Clone, Debug)]
struct Node<A: Address, T> {
    prefix: Prefix<A>,
    /// Place of the smallest prefix around this one.
    around: Option<usize>,
    value: T,
}

impl<A: Address, T> Default for Nest<A, T> {
    fn default() -> Self {
        Self { starts: Vec::new(), nodes: Vec::new() }
    }
}

impl<A: Address, T> Nest<A, T> {
    /// How many prefixes there are in all sets.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a prefix to the set that begins at `start` and is the last one; the prefix comes behind
    /// all that the set has. `value` is told what belongs to the smallest prefix around it.
    pub(crate) fn push(&mut self, start: usize, prefix: Prefix<A>, value: impl FnOnce(Option<&T>) -> T) {
        let mut around = self.nodes.len().checked_sub(1).filter(|last| *last >= start);
        while let Some(node) = around.and_then(|place| self.nodes.get(place)) {
            if node.prefix.contains_bits(prefix.bits()) {
                break;
            }
            around = node.around;
        }
        let outer = around.and_then(|place| self.nodes.get(place));
        let value = value(outer.map(|node| &node.value));
        self.starts.push(prefix.bits());
        self.nodes.push(Node { prefix, around, value });
    }

    /// The prefix that was added last, and what belongs to it.
    pub(crate) fn last(&self) -> Option<(Prefix<A>, &T)> {
        self.nodes.last().map(|node| (node.prefix, &node.value))
    }

    /// Those prefixes of a set that hold the address with these bits, innermost first, and what
    /// belongs to them.
    #[inline]
    pub(crate) fn holding(
        &self,
        set: Range<usize>,
        address: A::Bits,
    ) -> impl Iterator<Item = (Prefix<A>, &T)> {
        let starts = self.starts.get(set.clone()).unwrap_or_default();
        let before = starts.partition_point(|start| *start <= address);
        let mut place = before.checked_sub(1).map(|last| set.start + last);
        iter::from_fn(move || {
            let node = self.nodes.get(place?)?;
            place = node.around;
            Some((node.prefix, &node.value))
        })
        .skip_while(move |(prefix, _)| !prefix.contains_bits(address))
    }
}
