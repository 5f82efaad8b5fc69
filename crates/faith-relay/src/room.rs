//! Fits a relay's limits to the descriptors that its process may have.
//!
//! A held SYN has a descriptor for its server, and when that is connected another one in reserve for its client. SYNs
//! may be forged, so that all held ones together get half of the descriptors at most. The other half is for clients that
//! are there: a SYN past the bound goes on to the kernel, and its client is accepted and connected from that half.

use crate::options::RelayOptions;

/// Descriptors of a session, and of a held SYN at most.
const EACH: u32 = 2;

/// Lowers the limits that `left` descriptors do not allow.
pub(crate) fn fit(options: &mut RelayOptions, left: u32) {
    let held = (left / 2 / EACH).max(1);
    options.hold.total = options.hold.total.min(held);
    let sessions = (left / EACH).max(1);
    options.max_sessions = options.max_sessions.map(|most| most.min(sessions));
}

#[cfg(test)]
mod tests {
    use faith_packet::ports::PortSet;

    use super::*;

    #[test]
    fn held_syns_get_half_of_few_descriptors_and_sessions_the_rest() {
        let mut options = RelayOptions { max_sessions: Some(1000), ..RelayOptions::new(PortSet::all()) };
        fit(&mut options, 1000);
        assert_eq!((options.hold.total, options.max_sessions), (250, Some(500)));
        fit(&mut options, 0);
        assert_eq!((options.hold.total, options.max_sessions), (1, Some(1)));
    }

    #[test]
    fn limits_that_descriptors_allow_stay() {
        let mut options = RelayOptions { max_sessions: Some(1000), ..RelayOptions::new(PortSet::all()) };
        let before = options.hold;
        fit(&mut options, 1_000_000);
        assert_eq!((options.hold, options.max_sessions), (before, Some(1000)));
        options.max_sessions = None;
        fit(&mut options, 100);
        assert_eq!(options.max_sessions, None);
    }
}
