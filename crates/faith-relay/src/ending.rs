//! The last words of a peer that is gone: `session` tells when they are waited for.

use std::time::Duration;

use faith_sys::peer;
use tokio::time::Instant;

use crate::leg::Leg;
use crate::record::SessionEnd;
use crate::side::Side;

/// The survivor is looked at again after this part of the time it has taken so far, because the kernel tells of no
/// acknowledgement. The reset comes so much too late at most.
const PART: u32 = 8;

/// The least and the most time between two looks.
const BETWEEN_LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// A session of which one peer is gone, and the other has not acknowledged yet what that has said.
pub(crate) struct Ending {
    pub(crate) gone: Side,
    pub(crate) reason: SessionEnd,
    began: Instant,
    acknowledged: u64,
    /// When the survivor acknowledged more than before.
    pub(crate) heard_at: Instant,
    /// When to look whether it has.
    pub(crate) look_at: Instant,
}

impl Ending {
    pub(crate) fn new(gone: Side, reason: SessionEnd) -> Self {
        let now = Instant::now();
        Self { gone, reason, began: now, acknowledged: 0, heard_at: now, look_at: now }
    }

    /// Looks how much of what it was `sent`, `all` there is or some of it, the survivor has acknowledged; whether it has
    /// everything.
    pub(crate) fn look(&mut self, survivor: &Leg, sent: u64, all: bool) -> bool {
        let left = peer::unacknowledged(survivor);
        if all && left == 0 {
            return true;
        }
        let now = Instant::now();
        let acknowledged = sent.saturating_sub(left);
        if acknowledged > self.acknowledged {
            (self.acknowledged, self.heard_at) = (acknowledged, now);
        }
        if self.look_at <= now {
            let (least, most) = BETWEEN_LOOKS;
            let pause = (now - self.began) / PART;
            self.look_at = now + pause.max(peer::round_trip(survivor)).clamp(least, most);
        }
        false
    }
}
