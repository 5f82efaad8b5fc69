//! The switch BSD had as `net.inet6.ip6.keepfaith`: one for the process, off until set.

use std::sync::atomic::{AtomicBool, Ordering};

static KEEPFAITH: AtomicBool = AtomicBool::new(false);

/// Switches capturing on or off for every faith interface of the process. While it is off nothing is
/// captured, and connections captured before stall until it is on again.
pub fn set_keepfaith(on: bool) {
    KEEPFAITH.store(on, Ordering::Relaxed);
}

/// Whether faith interfaces capture.
#[must_use]
pub fn keepfaith() -> bool {
    KEEPFAITH.load(Ordering::Relaxed)
}
