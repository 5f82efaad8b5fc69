//! The switch BSD had as `net.inet6.ip6.keepfaith`: one for the process, off until set.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::shortcut::Shortcut;

static KEEPFAITH: AtomicBool = AtomicBool::new(false);

/// What passes packets without asking [`keepfaith`] for each, and is told instead.
static FOLLOWERS: Mutex<Vec<Weak<Shortcut>>> = Mutex::new(Vec::new());

/// Switches capturing on or off for every faith interface of the process. While it is off nothing is
/// captured, and connections captured before stall until it is on again.
pub fn set_keepfaith(on: bool) {
    // Under the lock, so that of two switches at once everybody follows the same.
    let mut followers = FOLLOWERS.lock();
    KEEPFAITH.store(on, Ordering::Relaxed);
    followers.retain(|follower| follower.upgrade().inspect(|shortcut| shortcut.keepfaith(on)).is_some());
}

/// Whether faith interfaces capture.
#[must_use]
pub fn keepfaith() -> bool {
    KEEPFAITH.load(Ordering::Relaxed)
}

/// Tells a shortcut of keepfaith, now and whenever it is switched.
pub(crate) fn follow_keepfaith(follower: Weak<Shortcut>) {
    let mut followers = FOLLOWERS.lock();
    if let Some(shortcut) = follower.upgrade() {
        shortcut.keepfaith(keepfaith());
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(follower);
    }
}
