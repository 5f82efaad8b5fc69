//! Workers: one thread each, with a single-threaded tokio runtime that serves its queues, its listening sockets
//! and the tasks of its services, so that a packet, its socket and its session need no hand-over.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use faith_sys::tun::Tun;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::interface::Shared;
use crate::pump::Pump;

/// Something to do on a worker's thread, inside its `LocalSet`.
pub(crate) type Job = Box<dyn FnOnce(&Rc<Pump>) + Send>;

/// The workers of an interface.
pub(crate) struct Workers {
    jobs: Vec<mpsc::UnboundedSender<Job>>,
    running: Mutex<Vec<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts a worker for each pair of queues, in the network namespace of the calling thread.
    pub(crate) fn start(shared: &Arc<Shared>, queues: Vec<(Tun, Tun)>) -> io::Result<Self> {
        let mut jobs = Vec::new();
        let mut running = Vec::new();
        for (index, (outer, inner)) in queues.into_iter().enumerate() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (stop, stopped) = oneshot::channel();
            let shared = Arc::clone(shared);
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let thread =
                std::thread::Builder::new().name(format!("{}/{index}", shared.name)).spawn(move || {
                    let pump = {
                        let _context = runtime.enter();
                        match Pump::new(index, Arc::clone(&shared), outer, inner) {
                            Ok(pump) => pump,
                            Err(_) => return shared.lost(),
                        }
                    };
                    let local = LocalSet::new();
                    local.block_on(&runtime, serve(Rc::clone(&pump), receiver, stopped));
                    // Ends the tasks, and with them their sockets.
                    drop(local);
                    pump.flush();
                })?;
            jobs.push(sender);
            running.push(Running { stop, thread });
        }
        Ok(Self { jobs, running: Mutex::new(running) })
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Runs `job` on worker `index` soon; not at all when it has stopped.
    pub(crate) fn run(&self, index: usize, job: impl FnOnce(&Rc<Pump>) + Send + 'static) {
        if let Some(jobs) = self.jobs.get(index) {
            // A worker that has stopped has nothing left to do the job for.
            let _ = jobs.send(Box::new(job));
        }
    }

    /// Stops them, and with them every task they run; returns when they have ended.
    pub(crate) fn stop(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let (stops, threads): (Vec<_>, Vec<_>) =
            running.into_iter().map(|worker| (worker.stop, worker.thread)).unzip();
        for stop in stops {
            // Fails when the worker has ended by itself.
            let _ = stop.send(());
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

async fn serve(pump: Rc<Pump>, mut jobs: mpsc::UnboundedReceiver<Job>, mut stopped: oneshot::Receiver<()>) {
    tokio::task::spawn_local(Rc::clone(&pump).capture());
    tokio::task::spawn_local(Rc::clone(&pump).give_back());
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            job = jobs.recv() => match job {
                Some(job) => job(&pump),
                None => return,
            },
        }
    }
}
