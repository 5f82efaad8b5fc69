//! Finds the prefixes that hold an address, among many.
//!
//! Two prefixes are either disjoint or one is inside the other. In sorted order, each prefix comes
//! after those that contain it. The last prefix that starts at or before an address therefore holds
//! the address, or is inside every prefix that does. One binary search finds that last prefix. Links
//! from each prefix to the smallest one around it then lead to all prefixes that hold the address,
//! innermost first: at most one for each length.

use std::iter;
use std::ops::Range;

use crate::cidr::{Address, Prefix};

/// Sorted sets of prefixes, one set behind the other, with a value for each prefix.
#[derive(Clone, Debug)]
pub(crate) struct Nest<A: Address, T> {
    /// The first address of each prefix, in an array of its own so that a search touches little memory.
    starts: Vec<A::Bits>,
    nodes: Vec<Node<A, T>>,
}

#[derive(Clone, Debug)]
struct Node<A: Address, T> {
    prefix: Prefix<A>,
    /// The place of the smallest prefix around this one.
    around: Option<usize>,
    value: T,
}

impl<A: Address, T> Default for Nest<A, T> {
    fn default() -> Self {
        Self { starts: Vec::new(), nodes: Vec::new() }
    }
}

impl<A: Address, T> Nest<A, T> {
    /// The number of prefixes in all sets.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a prefix to the last set, which begins at `start`. The prefix must sort after all others
    /// of that set. `value` gets the value of the smallest prefix around it, and makes its own.
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

    /// The prefix that was added last, and its value.
    pub(crate) fn last(&self) -> Option<(Prefix<A>, &T)> {
        self.nodes.last().map(|node| (node.prefix, &node.value))
    }

    /// The prefixes of a set that hold the address with these bits, innermost first, with their
    /// values.
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
