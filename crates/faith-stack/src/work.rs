//! Runs jobs of other crates on an interface's threads.

use crate::interface::FaithInterface;

impl FaithInterface {
    /// Runs `job` soon on the thread of a worker, inside its runtime. The job may call `tokio::task::spawn_local` and must
    /// never block. After the interface is closed, the job is dropped instead, and so are the tasks it has spawned.
    pub fn run_on(&self, worker: usize, job: impl FnOnce() + Send + 'static) {
        self.workers.run(worker % self.workers.count(), move |_| job());
    }
}
