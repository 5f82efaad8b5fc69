//! Workers: one thread each, with a single-threaded tokio runtime that serves its queues, its listening sockets
//! and the tasks of its services, so that a packet, its socket and its session need no hand-over.
//!
//! A worker interrupts nobody when it wakes (`SCHED_BATCH`): whoever sends or receives beside it finishes what it is at,
//! and the worker finds more to do at once. Many flows are up to a fifth faster for it, and short exchanges as fast. Of
//! those that wait for a processor it is the next.

use std::convert::{Infallible, identity};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use faith_sys::sched;
use faith_sys::tun::Tun;
use parking_lot::Mutex;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cut::Cut;
use crate::error::FailedCall;
use crate::flush::flush;
use crate::lane::Lane;
use crate::pump;
use crate::shared::Shared;
use crate::thread::{self, Begun};
use crate::warning::What;

/// Shorter than the timeouts of connections, unless somebody sets them to less.
const PULSE: Duration = Duration::from_secs(1);

/// Something to do on a worker's thread, inside its `LocalRuntime`.
pub(crate) type Job = Box<dyn FnOnce(&Rc<Lane>) + Send>;

/// The workers of an interface.
pub(crate) struct Workers {
    jobs: Vec<mpsc::UnboundedSender<Job>>,
    running: Mutex<Vec<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    /// Tells by its end that the tasks have ended, and with them their sockets.
    idle: std::sync::mpsc::Receiver<Infallible>,
    /// Tells what to cut, when the tasks of all workers have ended.
    cut: std::sync::mpsc::Sender<Arc<Cut>>,
    /// Tells by its end that the last packets have been moved.
    silent: std::sync::mpsc::Receiver<Infallible>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts a worker for each pair of queues, in the network namespace of the calling thread.
    pub(crate) fn start(shared: &Arc<Shared>, queues: Vec<(Tun, Tun)>) -> Result<Self, FailedCall> {
        // Dropped with those that have started where one cannot be.
        let mut workers = Self { jobs: Vec::new(), running: Mutex::default() };
        for (index, (outer, inner)) in queues.into_iter().enumerate() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (stop, stopped) = oneshot::channel();
            let shared = Arc::clone(shared);
            let (at_work, idle) = std::sync::mpsc::channel();
            let (cut, left) = std::sync::mpsc::channel::<Arc<Cut>>();
            let (talking, silent) = std::sync::mpsc::channel();
            let name = format!("{}/{index}", shared.name);
            let body = move |begun: Begun<(), FailedCall>| {
                if let Err(error) = sched::run_in_batches()
                    && index == 0
                {
                    shared.warnings.send(What::NotBatched(Arc::new(error)));
                }
                let (runtime, lane) = match begin(index, shared, outer, inner) {
                    Ok(begun) => begun,
                    Err(error) => return drop(begun.send(Err(error))),
                };
                let _ = begun.send(Ok(()));
                runtime.block_on(serve(Rc::clone(&lane), receiver, stopped));
                // Ends the tasks, and with them their sockets.
                drop(runtime);
                drop(at_work);
                flush(&lane, &left.recv().unwrap_or_default());
                drop(talking);
            };
            let ((), thread) = thread::start(name, identity, body)?;
            workers.jobs.push(sender);
            let running = workers.running.get_mut();
            running.push(Running { stop, idle, cut, silent, thread });
        }
        Ok(workers)
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// A worker whose thread has ended without having been stopped.
    pub(crate) fn ended(&self) -> Option<usize> {
        let running = self.running.lock();
        running.iter().position(|worker| worker.thread.is_finished())
    }

    /// Runs `job` on worker `index` soon; not at all when it has stopped.
    pub(crate) fn run(&self, index: usize, job: impl FnOnce(&Rc<Lane>) + Send + 'static) {
        if let Some(jobs) = self.jobs.get(index) {
            // A worker that has stopped has nothing left to do the job for.
            let _ = jobs.send(Box::new(job));
        }
    }

    /// Stops them, and with them every task they run; returns when they have ended. `left` is asked when the tasks have
    /// ended, and gives what they leave behind that is to be cut. `meanwhile` is run when the last packets have been moved
    /// and the workers close their devices, for which the kernel takes its time.
    pub(crate) fn stop(&self, left: impl FnOnce() -> Cut, meanwhile: impl FnOnce()) {
        let running = std::mem::take(&mut *self.running.lock());
        let closing: Vec<_> = running
            .into_iter()
            .map(|Running { stop, idle, cut, silent, thread }| {
                // Fails when the worker has ended by itself.
                let _ = stop.send(());
                (idle, cut, silent, thread)
            })
            .collect();
        if closing.is_empty() {
            return;
        }
        for (idle, ..) in &closing {
            let _ = idle.recv();
        }
        let left = Arc::new(left());
        for (_, cut, ..) in &closing {
            let _ = cut.send(Arc::clone(&left));
        }
        for (_, _, silent, _) in &closing {
            let _ = silent.recv();
        }
        meanwhile();
        for (.., thread) in closing {
            let _ = thread.join();
        }
    }
}

/// An interface that cannot be made leaves no device behind, which workers hold; one that is closed has stopped its own.
impl Drop for Workers {
    fn drop(&mut self) {
        self.stop(Cut::default, || {});
    }
}

/// A worker's runtime, which belongs to its thread, and the lane registered with it.
fn begin(
    index: usize,
    shared: Arc<Shared>,
    outer: Tun,
    inner: Tun,
) -> Result<(LocalRuntime, Rc<Lane>), FailedCall> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(FailedCall::of("epoll_create1"))?;
    let lane = {
        let _context = runtime.enter();
        Lane::new(index, shared, outer, inner).map_err(FailedCall::of("epoll_ctl"))?
    };
    Ok((runtime, lane))
}

/// Has a timer pending that is due before those of connections, as long as there are new ones. For a timer that is due
/// before all that were pending when the runtime last slept, tokio writes to its own eventfd and sleeps one time less;
/// among connections that come and go each of them would be such a timer.
async fn pulse(lane: Rc<Lane>) {
    loop {
        lane.newcomers.notified().await;
        sleep(PULSE).await;
    }
}

async fn serve(lane: Rc<Lane>, mut jobs: mpsc::UnboundedReceiver<Job>, mut stopped: oneshot::Receiver<()>) {
    let mut pumping = JoinSet::new();
    pumping.spawn_local(pump::capture(Rc::clone(&lane)));
    pumping.spawn_local(pump::give_back(Rc::clone(&lane)));
    tokio::task::spawn_local(pulse(Rc::clone(&lane)));
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            // A half of the pump that ends in order has told of the device's end; with one that panicked ends the worker.
            Some(Err(error)) = pumping.join_next() => {
                if let Ok(panic) = error.try_into_panic() {
                    resume_unwind(panic);
                }
            }
            job = jobs.recv() => match job {
                Some(job) => job(&lane),
                None => return,
            },
        }
    }
}
