//! The watchdog: are the workers there, and do they work?
//!
//! It gives each worker a job now and then. A worker whose loop turns does it at once; one that has not done it for
//! some seconds is stuck. Seconds are counted by the watchdog's own turns, so that those in which the whole process
//! was stopped (SIGSTOP, a suspended machine) do not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::StackError;
use crate::shared::Shared;
use crate::warning::What;
use crate::worker::Workers;

/// Between two jobs of a worker that works.
const CALM: Duration = Duration::from_secs(5);

/// Between two looks at a worker that has a job.
const TURN: Duration = Duration::from_secs(1);

/// A worker is stuck after this many looks without progress.
const PATIENCE: u32 = 5;

/// The workers of one interface.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    watched: Vec<Pulse>,
    next: Instant,
}

/// The watchdog's knowledge of one worker.
#[derive(Default)]
struct Pulse {
    given: u64,
    done: Arc<AtomicU64>,
    looks: u32,
}

/// The result of a look.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Works,
    Waits,
    Stuck,
    WorksAgain,
}

impl Pulse {
    fn look(&mut self) -> Finding {
        let stuck = self.looks >= PATIENCE;
        if self.done.load(Ordering::Relaxed) == self.given {
            self.looks = 0;
            return if stuck { Finding::WorksAgain } else { Finding::Works };
        }
        self.looks += 1;
        if self.looks == PATIENCE { Finding::Stuck } else { Finding::Waits }
    }

    fn give(&mut self) -> impl FnOnce() + Send + 'static {
        self.given += 1;
        let (done, given) = (Arc::clone(&self.done), self.given);
        move || done.store(given, Ordering::Relaxed)
    }
}

impl Watchdog {
    pub(crate) fn new(shared: &Arc<Shared>, workers: &Arc<Workers>) -> Self {
        let watched = (0..workers.count()).map(|_| Pulse::default()).collect();
        let (shared, workers) = (Arc::clone(shared), Arc::clone(workers));
        Self { shared, workers, watched, next: Instant::now() }
    }

    /// Looks, if it is time; when it will be again.
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
            // There is nothing more to say of this interface.
            self.watched.clear();
            return CALM;
        }
        let mut all_work = true;
        for (worker, pulse) in self.watched.iter_mut().enumerate() {
            match pulse.look() {
                Finding::Works => {}
                Finding::Waits => {
                    all_work = false;
                    continue;
                }
                Finding::Stuck => {
                    all_work = false;
                    self.shared.warnings.send(What::WorkerStuck { worker, waited: TURN * PATIENCE });
                    continue;
                }
                Finding::WorksAgain => self.shared.warnings.send(What::WorkerRuns { worker }),
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

    #[test]
    fn a_worker_is_stuck_after_several_looks_in_vain_and_that_is_said_once() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.look(), Finding::Works);
        let job = pulse.give();
        for _ in 1..PATIENCE {
            assert_eq!(pulse.look(), Finding::Waits);
        }
        assert_eq!(pulse.look(), Finding::Stuck);
        assert_eq!(pulse.look(), Finding::Waits);
        job();
        assert_eq!(pulse.look(), Finding::WorksAgain);
        assert_eq!(pulse.look(), Finding::Works);
    }

    #[test]
    fn a_job_that_is_done_late_but_in_time_is_no_finding() {
        let mut pulse = Pulse::default();
        let job = pulse.give();
        for _ in 1..PATIENCE {
            assert_eq!(pulse.look(), Finding::Waits);
        }
        job();
        assert_eq!(pulse.look(), Finding::Works);
    }
}
