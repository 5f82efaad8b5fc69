//! The watchdog notices stuck and dead workers.
//!
//! It gives each worker a job at intervals. A worker whose event loop runs does the job at once; a worker that has not
//! done it for some seconds is stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::StackError;
use crate::pulse::Pulse;
use crate::shared::Shared;
use crate::warning;
use crate::worker::Workers;

/// The time between two looks while all workers work.
const CALM: Duration = Duration::from_secs(5);

/// The time between two looks while a worker still has a job to do.
const TURN: Duration = Duration::from_secs(1);

/// A worker counts as stuck after this many looks without progress.
const PATIENCE: u32 = 5;

/// The workers of one interface.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    watched: Vec<Pulse>,
    next: Instant,
}

/// The result of a look.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Works,
    Waits,
    Stuck,
    WorksAgain,
}

impl Finding {
    /// Judges a look by the looks in a row without progress, before it and with it.
    fn of(before: u32, missed: u32) -> Self {
        match missed {
            0 if before >= PATIENCE => Self::WorksAgain,
            0 => Self::Works,
            PATIENCE => Self::Stuck,
            _ => Self::Waits,
        }
    }
}

impl Watchdog {
    pub(crate) fn new(shared: &Arc<Shared>, workers: &Arc<Workers>) -> Self {
        let watched = (0..workers.count()).map(|_| Pulse::default()).collect();
        let (shared, workers) = (Arc::clone(shared), Arc::clone(workers));
        Self { shared, workers, watched, next: Instant::now() }
    }

    /// Looks, if it is time. Returns the time until the next look.
    pub(crate) fn look(&mut self) -> Duration {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + self.look_now();
        }
        self.next.saturating_duration_since(now)
    }

    fn look_now(&mut self) -> Duration {
        if let Some(worker) = self.workers.ended() {
            let interface = self.shared.name.clone();
            self.shared.lost_by(StackError::Worker { interface, worker });
            // The interface is lost, so there is no worker left to watch.
            self.watched.clear();
            return CALM;
        }
        let mut all_work = true;
        for (worker, pulse) in self.watched.iter_mut().enumerate() {
            let before = pulse.missed();
            match Finding::of(before, pulse.look()) {
                Finding::Works => {}
                Finding::Waits => {
                    all_work = false;
                    continue;
                }
                Finding::Stuck => {
                    all_work = false;
                    self.shared.warnings.send(warning::Kind::WorkerStuck { worker, waited: TURN * PATIENCE });
                    continue;
                }
                Finding::WorksAgain => self.shared.warnings.send(warning::Kind::WorkerRuns { worker }),
            }
            let job = pulse.give();
            self.workers.run(worker, move |_| job());
        }
        if all_work { CALM } else { TURN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pulse: &mut Pulse) -> Finding {
        Finding::of(pulse.missed(), pulse.look())
    }

    #[test]
    fn a_worker_is_reported_stuck_once_after_several_looks_without_progress() {
        let mut pulse = Pulse::default();
        assert_eq!(look(&mut pulse), Finding::Works);
        let job = pulse.give();
        for _ in 1..PATIENCE {
            assert_eq!(look(&mut pulse), Finding::Waits);
        }
        assert_eq!(look(&mut pulse), Finding::Stuck);
        assert_eq!(look(&mut pulse), Finding::Waits);
        job();
        assert_eq!(look(&mut pulse), Finding::WorksAgain);
        assert_eq!(look(&mut pulse), Finding::Works);
    }

    #[test]
    fn a_job_that_is_done_before_the_last_look_is_not_reported() {
        let mut pulse = Pulse::default();
        let job = pulse.give();
        for _ in 1..PATIENCE {
            assert_eq!(look(&mut pulse), Finding::Waits);
        }
        job();
        assert_eq!(look(&mut pulse), Finding::Works);
    }
}
