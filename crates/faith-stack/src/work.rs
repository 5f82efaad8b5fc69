//! Work of others on an interface's threads.

use crate::interface::FaithInterface;

impl FaithInterface {
    /// Runs `job` soon on the thread of a worker, inside its runtime: it may `tokio::task::spawn_local` at will and
    /// must never block. Once the interface is closed it is dropped instead, and so are the tasks it has spawned.
    pub fn run_on(&self, worker: usize, job: impl FnOnce() + Send + 'static) {
        self.workers.run(worker % self.workers.count(), move |_| job());
    }
}
