//! Workers: one thread each, with a single-threaded tokio runtime that serves its queues, its listening sockets and the
//! tasks of its services. So a packet, its socket and its session stay on one thread.
//!
//! A waking worker interrupts no other thread (`SCHED_BATCH`): senders and receivers on the same processor finish first,
//! and the worker then finds more packets at once. Many flows are up to a fifth faster for it, and short exchanges as
//! fast. When a processor is free, the worker runs next.

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
use crate::warning;

/// Shorter than the default timeouts of connections.
const PULSE: Duration = Duration::from_secs(1);

/// A job for a worker's thread, inside its `LocalRuntime`.
pub(crate) type Job = Box<dyn FnOnce(&Rc<Lane>) + Send>;

/// The workers of an interface.
pub(crate) struct Workers {
    jobs: Vec<mpsc::UnboundedSender<Job>>,
    running: Mutex<Vec<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    /// Disconnects when the tasks have ended and their sockets are closed.
    idle: std::sync::mpsc::Receiver<Infallible>,
    /// Sends the connections to cut, when the tasks of all workers have ended.
    cut: std::sync::mpsc::Sender<Arc<Cut>>,
    /// Disconnects when the worker has moved the last packets.
    silent: std::sync::mpsc::Receiver<Infallible>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts a worker for each pair of queues, in the network namespace of the calling thread.
    pub(crate) fn start(shared: &Arc<Shared>, queues: Vec<(Tun, Tun)>) -> Result<Self, FailedCall> {
        // If one worker cannot start, dropping this stops those that have started.
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
                    shared.warnings.send(warning::Kind::NotBatched(Arc::new(error)));
                }
                let (runtime, lane) = match begin(index, shared, outer, inner) {
                    Ok(begun) => begun,
                    Err(error) => return drop(begun.send(Err(error))),
                };
                let _ = begun.send(Ok(()));
                runtime.block_on(serve(Rc::clone(&lane), receiver, stopped));
                // The parts hold the lane that holds them.
                drop(lane.parts.take());
                // This ends the tasks, which closes their sockets.
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

    /// A worker whose thread ended without being stopped.
    pub(crate) fn ended(&self) -> Option<usize> {
        let running = self.running.lock();
        running.iter().position(|worker| worker.thread.is_finished())
    }

    /// Runs `job` on worker `index` soon, or drops it if the worker has stopped.
    pub(crate) fn run(&self, index: usize, job: impl FnOnce(&Rc<Lane>) + Send + 'static) {
        if let Some(jobs) = self.jobs.get(index) {
            // This fails if the worker has stopped, when the job has no purpose.
            let _ = jobs.send(Box::new(job));
        }
    }

    /// Stops the workers and all their tasks, and returns when they have ended. `left` runs when the tasks have ended, and
    /// returns the connections to cut. `meanwhile` runs after the last packets were moved, while the workers close their
    /// devices, which takes the kernel some time.
    pub(crate) fn stop(&self, left: impl FnOnce() -> Cut, meanwhile: impl FnOnce()) {
        let running = std::mem::take(&mut *self.running.lock());
        let closing: Vec<_> = running
            .into_iter()
            .map(|Running { stop, idle, cut, silent, thread }| {
                // This fails if the worker has ended by itself.
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

/// Stops the workers of an interface that could not be created, so that no device remains: workers hold the devices.
/// Closing an interface stops its workers before this.
impl Drop for Workers {
    fn drop(&mut self) {
        self.stop(Cut::default, || {});
    }
}

/// Makes a worker's runtime, which belongs to the calling thread, and the lane registered with it.
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

/// Keeps a timer pending that is due before the timers of connections, as long as new connections come. If a new timer
/// is due before all that were pending when the runtime last slept, tokio writes to its own eventfd and wakes once more
/// for nothing. With short connections, each would set such a timer.
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
    pumping.spawn_local(pump::take_over(Rc::clone(&lane)));
    tokio::task::spawn_local(pulse(Rc::clone(&lane)));
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            // A direction of the pump that ends in order has reported the lost device. A panic in one ends the worker.
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
