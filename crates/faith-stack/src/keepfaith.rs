//! The keepfaith switch, as BSD's `net.inet6.ip6.keepfaith`: one for the process, off until set.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::shortcut::Shortcut;

static KEEPFAITH: AtomicBool = AtomicBool::new(false);

/// The shortcuts to notify: they pass packets without asking [`keepfaith`] for each.
static FOLLOWERS: Mutex<Vec<Weak<Shortcut>>> = Mutex::new(Vec::new());

/// Switches capture on or off for every faith interface of the process. While it is off, no packet is captured, and
/// connections captured before stall until it is on again.
pub fn set_keepfaith(on: bool) {
    // Under the lock, so that all shortcuts follow the same one of two simultaneous calls.
    let mut followers = FOLLOWERS.lock();
    KEEPFAITH.store(on, Ordering::Relaxed);
    followers.retain(|follower| follower.upgrade().inspect(|shortcut| shortcut.keepfaith(on)).is_some());
}

/// Returns true if faith interfaces capture.
#[must_use]
pub fn keepfaith() -> bool {
    KEEPFAITH.load(Ordering::Relaxed)
}

/// Notifies a shortcut of keepfaith, now and on every change.
pub(crate) fn follow_keepfaith(follower: Weak<Shortcut>) {
    let mut followers = FOLLOWERS.lock();
    if let Some(shortcut) = follower.upgrade() {
        shortcut.keepfaith(keepfaith());
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(follower);
    }
}
