//! Runs: datagrams of one size that follow each other, of which the last may be shorter. A run can be one superframe.

use super::wire::HEADERS;

/// The most datagrams in one call (`UDP_MAX_SEGMENTS`, net/udp.h; more since Linux 6.9).
pub(crate) const MAX_SEGMENTS: usize = 64;

/// The most octets of data in one call: an IPv4 packet of the largest length.
pub(crate) const MAX_DATA: usize = 65_535 - HEADERS;

/// The sizes of a run. The default has no datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Octets of data in each datagram but the last.
    pub(crate) size: usize,
    /// Octets of data in all datagrams.
    pub(crate) length: usize,
    pub(crate) datagrams: usize,
}

impl Run {
    /// Begins with a datagram of this length.
    pub(crate) fn of(length: usize) -> Self {
        Self { size: length, length, datagrams: 1 }
    }

    /// Returns true if a datagram of this length may follow. None may be empty: a superframe cannot have such.
    pub(crate) fn takes(&self, length: usize) -> bool {
        !self.is_over() && (1..=self.size).contains(&length)
    }

    pub(crate) fn add(&mut self, length: usize) {
        self.length += length;
        self.datagrams += 1;
    }

    /// Returns true if no datagram of its size may follow: the last was shorter, or there is no more room.
    pub(crate) fn is_over(&self) -> bool {
        let is_cut = self.size == 0 || self.length < self.size * self.datagrams;
        is_cut || self.datagrams >= MAX_SEGMENTS || self.length + self.size > MAX_DATA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lengths: &[usize]) -> Run {
        let mut run = Run::of(lengths[0]);
        for length in &lengths[1..] {
            assert!(run.takes(*length), "{run:?}, {length}");
            run.add(*length);
        }
        run
    }

    #[test]
    fn equal_datagrams_follow_each_other_and_a_shorter_one_is_the_last() {
        let open = run(&[1200, 1200, 1200]);
        assert_eq!(open, Run { size: 1200, length: 3600, datagrams: 3 });
        assert!(!open.is_over() && open.takes(1200) && open.takes(1));
        assert!(!open.takes(1201) && !open.takes(0));
        let over = run(&[1200, 1200, 700]);
        assert!(over.is_over() && !over.takes(700) && !over.takes(1));
    }

    #[test]
    fn an_empty_datagram_is_alone() {
        let empty = Run::of(0);
        assert!(empty.is_over() && !empty.takes(0) && !empty.takes(1));
    }

    #[test]
    fn a_run_is_no_longer_than_one_call_takes() {
        assert!(!run(&[1; MAX_SEGMENTS - 1]).is_over());
        assert!(run(&[1; MAX_SEGMENTS]).is_over());
        assert!(!run(&[32_000]).is_over());
        assert!(run(&[32_000, 32_000]).is_over());
        assert!(Run::of(MAX_DATA).is_over());
    }
}
