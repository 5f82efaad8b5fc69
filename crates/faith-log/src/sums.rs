//! Sums of refusals that get no line of their own, by client network.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use faith_relay::{Cause, RefusalReason, RefusalRecord};

/// Networks with a sum of their own. The others share one, because any host can forge an address.
const NETWORKS: usize = 100;

/// A line tells each sum so often.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// A network of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    address: Ipv6Addr,
    length: u8,
}

impl Network {
    /// The network of this length that contains a client.
    pub(crate) fn of(client: Ipv6Addr, length: u8) -> Self {
        let address = Ipv6Addr::from_bits(faith_packet::prefix::network_of(client, length));
        Self { address, length }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

type Kind = (RefusalReason, Option<Cause>);

/// Refusals of one network, or of all networks without a sum of their own (`None`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) network: Option<Network>,
    /// There are few kinds, so a list is the fastest table.
    counts: Vec<(Kind, u64)>,
}

impl Sum {
    fn add(&mut self, kind: Kind) {
        match self.counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((kind, 1)),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(network: Option<Network>, counts: Vec<(Kind, u64)>) -> Self {
        Self { network, counts }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The words that name the kinds, the most frequent first, with their numbers.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut words: Vec<(&str, u64)> = Vec::new();
        for ((reason, cause), count) in &self.counts {
            let word = cause.map_or(reason.name(), Cause::name);
            match words.iter_mut().find(|(known, _)| *known == word) {
                Some((_, sum)) => *sum += count,
                None => words.push((word, *count)),
            }
        }
        words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words.into_iter()
    }
}

/// The sums since the last lines about them.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Time of the first refusal.
    since: Option<Instant>,
    networks: HashMap<Network, Sum>,
    others: Sum,
}

impl Sums {
    /// Counts a refusal.
    pub(crate) fn add(&mut self, network: Network, refusal: &RefusalRecord) {
        self.since.get_or_insert_with(Instant::now);
        let is_full = self.networks.len() >= NETWORKS;
        let sum = match self.networks.get_mut(&network) {
            Some(sum) => sum,
            None if is_full => &mut self.others,
            None => {
                self.networks.entry(network).or_insert(Sum { network: Some(network), counts: Vec::new() })
            }
        };
        sum.add((refusal.reason, refusal.cause));
    }

    /// The time at which lines are due; `None` without a refusal.
    pub(crate) fn due(&self) -> Option<Instant> {
        Some(self.since? + INTERVAL)
    }

    /// Takes the sums, the largest first and that of other networks last, and the time that they cover.
    pub(crate) fn take(&mut self) -> Option<(Vec<Sum>, Duration)> {
        let interval = self.since.take()?.elapsed();
        let mut sums: Vec<Sum> = self.networks.drain().map(|(_, sum)| sum).collect();
        sums.sort_by_key(|sum| std::cmp::Reverse(sum.count()));
        let others = std::mem::take(&mut self.others);
        sums.extend((others.count() > 0).then_some(others));
        Some((sums, interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn words(sum: &Sum) -> Vec<(&'static str, u64)> {
        sum.words().collect()
    }

    fn add(sums: &mut Sums, client: &str, reason: RefusalReason, cause: Option<Cause>) {
        let refusal = RefusalRecord { reason, cause, ..samples::refusal() };
        sums.add(Network::of(client.parse().unwrap(), 64), &refusal);
    }

    #[test]
    fn refusals_are_summed_by_network_and_word_the_largest_first() {
        let mut sums = Sums::default();
        assert!(sums.due().is_none() && sums.take().is_none());
        add(&mut sums, "2001:db8:1::7", RefusalReason::Refused, None);
        for host in 1..=3 {
            let client = format!("2001:db8:2::{host}");
            add(&mut sums, &client, RefusalReason::Denied, Some(Cause::DeniedByRule));
        }
        add(&mut sums, "2001:db8:2::9", RefusalReason::Refused, Some(Cause::RejectedByRoute));
        add(&mut sums, "2001:db8:2::9", RefusalReason::Denied, Some(Cause::RejectedByRoute));
        assert!(sums.due().is_some());

        let (taken, _) = sums.take().unwrap();
        let networks: Vec<_> = taken.iter().map(|sum| sum.network.unwrap().to_string()).collect();
        assert_eq!(networks, ["2001:db8:2::/64", "2001:db8:1::/64"]);
        assert_eq!(words(&taken[0]), [("denied-by-rule", 3), ("rejected-by-route", 2)]);
        assert_eq!(words(&taken[1]), [("refused", 1)]);
        assert!(sums.take().is_none());
    }

    #[test]
    fn networks_beyond_the_bound_share_one_sum_and_nothing_is_lost() {
        let mut sums = Sums::default();
        for round in 0..2 {
            for network in 0..NETWORKS + 50 {
                add(&mut sums, &format!("2001:db8:0:{network:x}::{round}"), RefusalReason::Limit, None);
            }
        }
        let (taken, _) = sums.take().unwrap();
        assert_eq!(taken.len(), NETWORKS + 1);
        let others = taken.last().unwrap();
        assert_eq!((others.network, words(others)), (None, vec![("limit", 100)]));
        assert_eq!(taken.iter().map(Sum::count).sum::<u64>(), 2 * (NETWORKS as u64 + 50));
    }
}
