//! Delivery of the last bytes of a peer that is gone; `session` explains when the relay waits for it.

use std::time::Duration;

use faith_sys::peer;
use tokio::time::Instant;

use crate::leg::Leg;
use crate::record::SessionEnd;
use crate::side::Side;

/// The next look at the survivor follows after the time passed so far, divided by this. The kernel reports no
/// acknowledgements, so the relay has to look. This also bounds how much too late the reset comes.
const PART: u32 = 8;

/// Shortest and longest time between two looks.
const BETWEEN_LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// A session of which one peer is gone, and the other has not acknowledged all of the gone peer's bytes.
pub(crate) struct Ending {
    pub(crate) gone: Side,
    pub(crate) reason: SessionEnd,
    began: Instant,
    acknowledged: u64,
    /// Time of the last look that found more bytes acknowledged.
    pub(crate) heard_at: Instant,
    /// Time of the next look.
    pub(crate) look_at: Instant,
}

impl Ending {
    pub(crate) fn new(gone: Side, reason: SessionEnd) -> Self {
        let now = Instant::now();
        Self { gone, reason, began: now, acknowledged: 0, heard_at: now, look_at: now }
    }

    /// Looks how many of the `sent` bytes the survivor has acknowledged. `all` says that no more follow. Returns whether the
    /// survivor has acknowledged everything.
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
