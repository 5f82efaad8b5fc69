//! The time that an upstream takes to answer, estimated as TCP estimates its round trips (RFC 6298).

use std::cell::Cell;
use std::time::Duration;

/// The longest usual time of an upstream that has not answered yet: the delay between attempts of RFC 8305 section 5.
const UNKNOWN: Duration = Duration::from_millis(250);

/// The least such time, the least delay that RFC 8305 recommends. A near server with a cache is slower than usual
/// for every name that it has to look up.
const LEAST: Duration = Duration::from_millis(100);

/// The time that an upstream takes to answer.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip(Cell<Option<Estimate>>);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: Duration,
    variation: Duration,
}

impl RoundTrip {
    /// Learns from an answer.
    pub(crate) fn learn(&self, taken: Duration) {
        let estimate = match self.0.get() {
            None => Estimate { smoothed: taken, variation: taken / 2 },
            Some(Estimate { smoothed, variation }) => Estimate {
                smoothed: (smoothed * 7 + taken) / 8,
                variation: (variation * 3 + smoothed.abs_diff(taken)) / 4,
            },
        };
        self.0.set(Some(estimate));
    }

    /// The longest time that an answer usually takes.
    pub(crate) fn usual(&self) -> Duration {
        self.0.get().map_or(UNKNOWN, |estimate| (estimate.smoothed + estimate.variation * 4).max(LEAST))
    }
}
