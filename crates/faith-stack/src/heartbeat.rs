//! Heartbeats of all workers of the process, for the watchdog of a service manager.
//!
//! A worker's event loop runs its directions of the pump, its listeners and its sessions. So a worker that answers has a
//! live pump, and one that was killed or hangs does not answer.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::pulse::Pulse;
use crate::worker::Workers;

/// The workers of the open interfaces.
static HEARTS: Mutex<Vec<Heart>> = Mutex::new(Vec::new());

struct Heart {
    interface: String,
    workers: Weak<Workers>,
    pulses: Vec<Pulse>,
}

/// A worker that has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentWorker {
    /// The name of its thread: `faith0/1`.
    pub name: String,
    /// The number of calls of [`silent_workers`] in a row that found it silent.
    pub looks: u32,
}

/// Adds the workers of an interface that opens.
pub(crate) fn enter(interface: &str, workers: &Arc<Workers>) {
    let pulses = (0..workers.count()).map(|_| Pulse::default()).collect();
    HEARTS.lock().push(Heart { interface: interface.to_owned(), workers: Arc::downgrade(workers), pulses });
}

/// Removes the workers of an interface that closes, because they end one by one.
pub(crate) fn leave(workers: &Arc<Workers>) {
    HEARTS.lock().retain(|heart| !std::ptr::eq(heart.workers.as_ptr(), Arc::as_ptr(workers)));
}

/// Returns the workers of all open interfaces that have not answered the last call, and asks all others again.
#[must_use]
pub fn silent_workers() -> Vec<SilentWorker> {
    let mut silent = Vec::new();
    for Heart { interface, workers, pulses } in HEARTS.lock().iter_mut() {
        let Some(workers) = workers.upgrade() else { continue };
        for (worker, pulse) in pulses.iter_mut().enumerate() {
            match pulse.look() {
                0 => {
                    let job = pulse.give();
                    workers.run(worker, move |_| job());
                }
                looks => silent.push(SilentWorker { name: format!("{interface}/{worker}"), looks }),
            }
        }
    }
    silent
}
