//! The blocks of source ports that relays have given to clients, so that no port is in two blocks.
//!
//! The relays of a process share the ports of an address. Blocks of different sizes go side by side.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use faith_sys::local_ports::LocalPorts;
use parking_lot::Mutex;

/// The claimed ports of each address.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<BTreeMap<(IpAddr, u16), u16>>);

/// The claims of this process.
pub(crate) static CLAIMS: Claims = Claims(Mutex::new(BTreeMap::new()));

/// A block of ports of one address. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    pub(crate) source: IpAddr,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// Cuts the ports that the host connects from into blocks; the rest at the upper end is in none.
pub(crate) fn blocks_of(range: &RangeInclusive<u16>, size: u16) -> usize {
    range.len() / usize::from(size.max(1))
}

impl Claims {
    /// Claims a block of `size` ports of `source` that no other claim touches, the `turn`th first. `None` if there is none.
    /// Passes over blocks whose ports are all reserved.
    pub(crate) fn claim(
        &self,
        source: IpAddr,
        ports: &LocalPorts,
        size: u16,
        turn: usize,
    ) -> Option<Claim<'_>> {
        let blocks = blocks_of(&ports.range, size);
        let mut claimed = self.0.lock();
        let (first, last) = (0..blocks).find_map(|next| {
            let place = (turn % blocks + next) % blocks;
            let first = ports.range.start() + u16::try_from(place * usize::from(size)).ok()?;
            let last = first + (size - 1);
            let below = claimed.range((source, 0)..=(source, last)).next_back();
            let is_free = below.is_none_or(|(_, end)| *end < first);
            (is_free && !(first..=last).all(|port| ports.is_reserved(port))).then_some((first, last))
        })?;
        claimed.insert((source, first), last);
        Some(Claim { claims: self, source, first, last })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.0.lock().remove(&(self.source, self.first));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    fn ports(range: RangeInclusive<u16>) -> LocalPorts {
        LocalPorts { range, reserved: Vec::new() }
    }

    #[test]
    fn every_block_is_given_once_and_can_be_given_again() {
        let claims = Claims::default();
        let ports = ports(32_768..=60_999);
        let all: Vec<_> = (0..55).map(|turn| claims.claim(SOURCE, &ports, 512, 7 * turn).unwrap()).collect();
        assert!(claims.claim(SOURCE, &ports, 512, 3).is_none());
        let other = Ipv4Addr::new(198, 51, 100, 2).into();
        assert!(claims.claim(other, &ports, 512, 3).is_some());
        drop(all);
        assert!(claims.claim(SOURCE, &ports, 512, 3).is_some());
    }

    #[test]
    fn the_highest_port_can_be_in_a_block() {
        let claims = Claims::default();
        let block = claims.claim(SOURCE, &ports(1024..=65_535), 512, 125).unwrap();
        assert_eq!((block.first, block.last), (65_024, 65_535));
        assert!(claims.claim(SOURCE, &ports(0..=65_535), 65_535, 0).is_none());
    }

    #[test]
    fn a_block_whose_ports_are_all_reserved_is_given_to_nobody() {
        let claims = Claims::default();
        let ports = LocalPorts { range: 1000..=1029, reserved: vec![1000..=1009, 1015..=1018, 1020..=1028] };
        let claim = |turn| claims.claim(SOURCE, &ports, 10, turn).map(|block| block.first);
        assert_eq!(claim(0), Some(1010));
        let kept = claims.claim(SOURCE, &ports, 10, 0).unwrap();
        assert_eq!((kept.first, claim(0)), (1010, Some(1020)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Claim { address: u8, size: u16, turn: usize },
        GiveBack(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let size = prop_oneof![1_u16..40, 1_u16..=u16::MAX];
        let step = prop_oneof![
            3 => (0_u8..3, size, any::<usize>()).prop_map(|(address, size, turn)| Step::Claim { address, size, turn }),
            2 => any::<usize>().prop_map(Step::GiveBack),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn no_port_is_in_two_blocks_and_all_come_back(
            (low, high) in (any::<u16>(), any::<u16>()).prop_map(|(one, other)| (one.min(other), one.max(other))),
            steps in steps(),
        ) {
            let claims = Claims::default();
            let ports = ports(low..=high);
            let mut held: Vec<Claim<'_>> = Vec::new();
            for step in steps {
                match step {
                    Step::Claim { address, size, turn } => {
                        let source = Ipv4Addr::new(198, 51, 100, address).into();
                        let Some(block) = claims.claim(source, &ports, size, turn) else { continue };
                        prop_assert!(low <= block.first && block.last <= high);
                        prop_assert_eq!(block.last - block.first, size - 1);
                        for other in held.iter().filter(|other| other.source == source) {
                            prop_assert!(other.last < block.first || block.last < other.first);
                        }
                        held.push(block);
                    }
                    Step::GiveBack(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    Step::GiveBack(_) => {}
                }
            }
            drop(held);
            prop_assert!(claims.0.lock().is_empty());
            // All are free again: each block can be claimed.
            let size = (high - low).max(1) / 3 + 1;
            let again: Vec<_> = std::iter::from_fn(|| claims.claim(SOURCE, &ports, size, 0)).collect();
            prop_assert_eq!(again.len(), blocks_of(&ports.range, size));
        }
    }
}
