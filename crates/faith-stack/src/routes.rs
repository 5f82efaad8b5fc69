//! Puts back what the host may lose of a faith interface: its prefixes' routes and its own address.
//!
//! It leaves routes alone where they are not faithd's to make.
//!
//! The kernel forgets both when the device goes down, its IPv6 is switched off, or its MTU falls below 1280; and any
//! program may delete them. They are put back when they are found missing, but not without end: of two programs that
//! contradict each other one has to give in.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faith_packet::prefix::FaithPrefix;
use parking_lot::Mutex;
use rustix::io::Errno;

use crate::allowance::{Allowance, Rate};
use crate::netlink::notices::Subject;
use crate::netlink::{Device, METRIC, Netlink};
use crate::shared::Shared;
use crate::warning::What;

/// Routes are put back so often within a [`WINDOW`].
const MOST: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
const RESTORATIONS: Rate = Rate::new(MOST, WINDOW);

/// From a change to the look at it: `ip route flush` deletes in rounds, until it finds nothing more.
const SOON: Duration = Duration::from_millis(100);

/// The routes of one interface.
pub(crate) struct Routes {
    shared: Arc<Shared>,
    device: Device,
    /// Locked while prefixes change; says whether the interface is open.
    open: Arc<Mutex<bool>>,
    /// Whether the routes are faithd's to make.
    ours: bool,
    /// Those that are not there, and that was said.
    lost: Vec<FaithPrefix>,
    restorations: Allowance,
    /// When to look next.
    due: Option<Instant>,
}

impl Routes {
    pub(crate) fn new(shared: &Arc<Shared>, device: Device, open: &Arc<Mutex<bool>>, ours: bool) -> Self {
        let (shared, open) = (Arc::clone(shared), Arc::clone(open));
        Self {
            shared,
            device,
            open,
            ours,
            lost: Vec::new(),
            restorations: Allowance::default(),
            due: Some(Instant::now()),
        }
    }

    /// Whether a notice is a reason to look.
    pub(crate) fn concerns(&self, subject: Subject<'_>) -> bool {
        match subject {
            Subject::Link(index) => index == self.device.index(),
            Subject::Route(..) => {
                let classifier = self.shared.classifier.load();
                self.ours && classifier.prefixes().iter().any(|prefix| subject.is_route_of(prefix))
            }
        }
    }

    /// Takes note that something may have changed.
    pub(crate) fn changed(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + SOON);
    }

    /// How long until the next look is due.
    pub(crate) fn due(&self) -> Duration {
        self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Puts back what is missing.
    ///
    /// # Errors
    /// The kernel cannot be asked. What it refuses is a warning.
    pub(crate) fn look(&mut self, netlink: &Netlink) -> io::Result<()> {
        let open = Arc::clone(&self.open);
        let Some(open) = open.try_lock() else {
            // Prefixes are changing.
            self.due = Some(Instant::now() + SOON);
            return Ok(());
        };
        self.due = None;
        if !*open || netlink.is_up(self.device)?.is_none() {
            return Ok(());
        }
        // Refused while the device has no IPv6, like the routes, which say so.
        let _ = netlink.add_own_address(self.device);
        if !self.ours {
            return Ok(());
        }
        let now = Instant::now();
        if !self.restorations.is_left(RESTORATIONS, now) {
            self.due = Some(now + self.restorations.whole_in(now));
            return Ok(());
        }
        let classifier = self.shared.classifier.load();
        let (mut restored, mut lost, mut why, mut put) = (Vec::new(), Vec::new(), None, false);
        for prefix in classifier.prefixes() {
            let was_lost = self.lost.contains(prefix);
            match self.restore(netlink, prefix)? {
                Found::There if !was_lost => {}
                Found::There => restored.push(*prefix),
                Found::Restored => {
                    put = true;
                    restored.push(*prefix);
                }
                Found::Refused(because) => {
                    lost.push(*prefix);
                    if !was_lost {
                        why.get_or_insert(because);
                    }
                }
            }
        }
        drop(open);
        self.lost.clone_from(&lost);
        if let Some(why) = why {
            self.shared.warnings.send(What::RoutesLost { prefixes: lost, why });
        }
        if !restored.is_empty() {
            self.shared.warnings.send(What::RoutesRestored(restored));
        }
        if put && is_last(&self.restorations, Instant::now()) {
            self.shared.warnings.send(What::RoutesContested(WINDOW));
        }
        Ok(())
    }

    fn restore(&self, netlink: &Netlink, prefix: &FaithPrefix) -> io::Result<Found> {
        let elsewhere = || Found::Refused("another route of it goes before".to_owned());
        match netlink.routed_to(prefix)? {
            Some((_, Some(device))) if device == self.device => return Ok(Found::There),
            Some((metric, _)) if metric <= METRIC => return Ok(elsewhere()),
            _ => {}
        }
        Ok(match netlink.put_route(prefix, self.device) {
            Ok(()) => Found::Restored,
            Err(error) => match Errno::from_io_error(&error) {
                // Another program was faster.
                Some(Errno::EXIST) => elsewhere(),
                Some(Errno::ACCESS) => Found::Refused(format!(
                    "IPv6 is disabled on the interface (sysctl net.ipv6.conf.{}.disable_ipv6)",
                    self.shared.name
                )),
                Some(Errno::NETDOWN) => Found::Refused("the interface is down".to_owned()),
                Some(_) => Found::Refused(format!("{error}; IPv6 takes an MTU of 1280 or more")),
                None => return Err(error),
            },
        })
    }
}

/// The state in which a look finds a route.
enum Found {
    There,
    Restored,
    Refused(String),
}

/// Takes one restoration; whether it was the last for now.
fn is_last(restorations: &Allowance, now: Instant) -> bool {
    restorations.take(RESTORATIONS, now);
    !restorations.is_left(RESTORATIONS, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_put_back_so_often_and_then_again_after_a_while() {
        let restorations = Allowance::default();
        let begun = Instant::now();
        for taken in 1..=MOST {
            assert!(restorations.is_left(RESTORATIONS, begun));
            assert_eq!(is_last(&restorations, begun), taken == MOST);
        }
        assert!(!restorations.is_left(RESTORATIONS, begun));
        assert_eq!(restorations.whole_in(begun), WINDOW);
        assert_eq!(restorations.whole_in(begun + WINDOW / 2), WINDOW / 2);
        assert!(!is_last(&restorations, begun + WINDOW));
    }
}
