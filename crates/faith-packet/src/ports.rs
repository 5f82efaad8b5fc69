//! The ports of a listener or a rule, as a set that is never empty and never holds port 0.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::excerpt::excerpt;

/// Errors of building a [`PortSet`] from numbers.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PortError {
    /// Port 0 cannot be dialled, nor listened on: `bind(2)` takes it for "any free port".
    #[error("port 0 is not a port; use 1 to 65535")]
    Zero,
    /// A range ends before it starts.
    #[error("port range {first}-{last} is reversed; write {last}-{first}")]
    Reversed {
        /// The range's first port, as given.
        first: u16,
        /// The range's last port, as given.
        last: u16,
    },
    /// The list has no port.
    #[error("no port given; name at least one")]
    Empty,
}

/// Errors of reading a [`PortSet`] from text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PortListError {
    /// An item of the list is neither a number from 0 to 65535 nor a range of such numbers.
    #[error("{0:?} is neither a port nor a range; write 1 to 65535 in a list like 22,8000-8999, or all")]
    Syntax(String),
    /// The list is well formed, but is not a legal set of ports.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A non-empty set of TCP ports from 1 to 65535, stored as sorted ranges with gaps between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortSet {
    ranges: Vec<RangeInclusive<u16>>,
}

impl PortSet {
    /// Every port, 1 to 65535.
    #[must_use]
    pub fn all() -> Self {
        Self { ranges: vec![1..=u16::MAX] }
    }

    /// Exactly one port.
    ///
    /// # Errors
    ///
    /// [`PortError::Zero`].
    pub fn single(port: u16) -> Result<Self, PortError> {
        Self::from_ranges([(port, port)])
    }

    /// The union of inclusive ranges, in any order; they may overlap.
    ///
    /// ```
    /// use faith_packet::ports::PortSet;
    /// let ports = PortSet::from_ranges([(85, 90), (22, 22), (80, 84)])?;
    /// assert_eq!(ports.to_string(), "22,80-90");
    /// # Ok::<(), faith_packet::ports::PortError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PortError::Zero`] and [`PortError::Reversed`] for the first illegal range,
    /// [`PortError::Empty`] if there is no range.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u16, u16)>) -> Result<Self, PortError> {
        let mut sorted = Vec::new();
        for (first, last) in ranges {
            if first == 0 || last == 0 {
                return Err(PortError::Zero);
            }
            if first > last {
                return Err(PortError::Reversed { first, last });
            }
            sorted.push((first, last));
        }
        sorted.sort_unstable();

        let mut merged: Vec<RangeInclusive<u16>> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                // Adjacent ranges merge too, so that equal sets compare equal.
                Some(previous) if first <= previous.end().saturating_add(1) => {
                    *previous = *previous.start()..=last.max(*previous.end());
                }
                _ => merged.push(first..=last),
            }
        }
        if merged.is_empty() {
            return Err(PortError::Empty);
        }
        Ok(Self { ranges: merged })
    }

    /// Returns true if `port` is in the set.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|range| *range.start() <= port);
        let candidate = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        candidate.is_some_and(|range| range.contains(&port))
    }

    /// The ports that both sets have, if there are any.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let (mut ours, mut theirs) = (self.ranges.iter(), other.ranges.iter());
        let (mut our, mut their) = (ours.next(), theirs.next());
        let mut ranges = Vec::new();
        while let (Some(a), Some(b)) = (our, their) {
            let (first, last) = (*a.start().max(b.start()), *a.end().min(b.end()));
            if first <= last {
                ranges.push(first..=last);
            }
            if a.end() < b.end() {
                our = ours.next();
            } else {
                their = theirs.next();
            }
        }
        (!ranges.is_empty()).then_some(Self { ranges })
    }

    /// The set as ascending ranges that neither overlap nor touch.
    #[must_use]
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// The port of a set that has exactly one.
    #[must_use]
    pub fn is_single(&self) -> Option<u16> {
        match self.ranges.as_slice() {
            [only] if only.start() == only.end() => Some(*only.start()),
            _ => None,
        }
    }
}

/// Reads a list like `22,80-90`, in any order, or `all`.
impl FromStr for PortSet {
    type Err = PortListError;

    fn from_str(text: &str) -> Result<Self, PortListError> {
        if text == "all" {
            return Ok(Self::all());
        }
        let ranges = text.split(',').map(|item| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let range = number(first).zip(number(last));
            range.ok_or_else(|| PortListError::Syntax(excerpt(item)))
        });
        Ok(Self::from_ranges(ranges.collect::<Result<Vec<_>, _>>()?)?)
    }
}

/// Refuses "+22", which u16::from_str accepts and no other tool prints or reads.
fn number(text: &str) -> Option<u16> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// Writes a list like `22,80-90`, or `all`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all");
        }
        for (index, range) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if range.start() == range.end() {
                write!(f, "{}", range.start())?;
            } else {
                write!(f, "{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
