//! Fits a relay's limits to the descriptors that its process may have.
//!
//! A held SYN has a descriptor for its server, and once that is connected a second one in reserve for its client. SYNs may
//! be forged, so a relay's held SYNs together get half of the descriptors at most. The other half is for real clients: a
//! SYN beyond the bound goes on to the kernel, and its client, once accepted, takes descriptors from that half.
//!
//! The relays of a process share its descriptors. Each relay promises its held SYNs their descriptors. The next relay may
//! promise half of the rest.

use parking_lot::Mutex;

use crate::options::RelayOptions;

/// Descriptors of a session, and of a held SYN at most.
const EACH: u32 = 2;

/// Descriptors that the open relays of a process have promised to their held SYNs.
#[derive(Debug, Default)]
pub(crate) struct Promised(Mutex<u32>);

/// The promises of this process.
pub(crate) static PROMISED: Promised = Promised(Mutex::new(0));

impl Promised {
    /// Lowers limits that are too high for `left` descriptors less the promised ones. Then promises the held SYNs their
    /// descriptors.
    pub(crate) fn fit(&self, options: &mut RelayOptions, left: u32) -> Room<'_> {
        let mut promised = self.0.lock();
        let left = left.saturating_sub(*promised);
        let held = (left / 2 / EACH).max(1);
        options.hold.total = options.hold.total.min(held);
        let sessions = (left / EACH).max(1);
        options.max_sessions = options.max_sessions.map(|most| most.min(sessions));
        if let Some(udp) = &mut options.udp {
            udp.max_mappings = udp.max_mappings.min(left / 4).max(1);
        }
        let own = if options.connect_first { options.hold.total * EACH } else { 0 };
        *promised += own;
        Room { promised: self, own: Mutex::new(own) }
    }
}

/// The descriptors promised to a relay's held SYNs; dropping this gives them back.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    promised: &'a Promised,
    own: Mutex<u32>,
}

impl Room<'_> {
    /// Gives them back now, once. Call this when the relay holds no SYN any more.
    pub(crate) fn give_back(&self) {
        let mut own = self.own.lock();
        *self.promised.0.lock() -= std::mem::take(&mut *own);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use faith_packet::ports::PortSet;

    use super::*;

    fn limited() -> RelayOptions {
        RelayOptions { max_sessions: Some(1000), ..RelayOptions::new(PortSet::all()) }
    }

    /// The limits of a relay that is opened now.
    fn open(promised: &Promised, left: u32) -> (Room<'_>, u32, Option<u32>) {
        let mut options = limited();
        let room = promised.fit(&mut options, left);
        (room, options.hold.total, options.max_sessions)
    }

    #[test]
    fn held_syns_get_at_most_half_of_the_descriptors() {
        for (left, expected) in [(1000, (250, Some(500))), (0, (1, Some(1)))] {
            let promised = Promised::default();
            let (_room, held, sessions) = open(&promised, left);
            assert_eq!((held, sessions), expected);
        }
    }

    #[test]
    fn limits_for_which_descriptors_suffice_stay() {
        let promised = Promised::default();
        let mut options = limited();
        let before = options.hold;
        drop(promised.fit(&mut options, 1_000_000));
        assert_eq!((options.hold, options.max_sessions), (before, Some(1000)));
        options.max_sessions = None;
        drop(promised.fit(&mut options, 100));
        assert_eq!(options.max_sessions, None);
    }

    #[test]
    fn a_relay_leaves_alone_what_another_relay_has_promised_until_that_ends() {
        let promised = Promised::default();
        let (first, held, _) = open(&promised, 1000);
        assert_eq!(held, 250);
        let (second, held, sessions) = open(&promised, 1000);
        assert_eq!((held, sessions), (125, Some(250)), "half of the other 500");
        first.give_back();
        drop(first);
        drop(second);
        assert_eq!(*promised.0.lock(), 0, "each gives its own back once");
        assert_eq!(open(&promised, 1000).1, 250);
    }

    #[test]
    fn a_relay_that_holds_no_syns_promises_nothing() {
        let promised = Promised::default();
        let mut options = RelayOptions { connect_first: false, ..limited() };
        let _room = promised.fit(&mut options, 1000);
        assert_eq!(open(&promised, 1000).1, 250);
    }

    #[test]
    fn each_of_many_relays_holds_one_syn_at_least() {
        let promised = Promised::default();
        let rooms: Vec<_> = (0..1000).map(|_| open(&promised, 1000)).collect();
        assert!(rooms.iter().all(|(_, held, _)| *held >= 1));
        let most = [u32::MAX; 3].map(|left| {
            let mut options = limited();
            options.hold.total = u32::MAX;
            promised.fit(&mut options, left)
        });
        drop((most, rooms));
        assert_eq!(*promised.0.lock(), 0);
    }
}
