//! Keepers: the threads of an interface that make its privileged calls.
//!
//! One keeper works in the private namespace and one in the host's. Other threads post jobs to them. So when the process
//! gives up its privileges, keepers alone keep some, and the interface goes on.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use faith_sys::privileges::{self, CapabilitySet};
use parking_lot::Mutex;

use crate::error::StackError;
use crate::netlink::Netlink;
use crate::thread::{self, Begun};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A handle to a keeper, whose jobs share the state `S`.
pub(crate) struct Keeper<S> {
    jobs: Mutex<Option<mpsc::Sender<Job<S>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The keeper in the network namespace of the thread that created the interface.
pub(crate) type Host = Keeper<()>;

impl<S: 'static> Keeper<S> {
    /// Starts the thread `name` of `interface`, which keeps `capabilities` when the process gives up its privileges. It makes
    /// its state by `make`, and returns the other value to the caller.
    ///
    /// # Errors
    /// Those of `make`, or the thread cannot be started.
    pub(crate) fn start<T: Send + 'static>(
        interface: &str,
        name: &str,
        capabilities: CapabilitySet,
        make: impl FnOnce() -> Result<(S, T), StackError> + Send + 'static,
    ) -> Result<(Self, T), StackError> {
        let (jobs, receiver) = mpsc::channel::<Job<S>>();
        let body = move |begun: Begun<T, StackError>| {
            let _kept = privileges::keep(capabilities);
            let (mut state, value) = match make() {
                Ok(begin) => begin,
                Err(error) => return drop(begun.send(Err(error))),
            };
            let _ = begun.send(Ok(value));
            for job in receiver {
                job(&mut state);
            }
        };
        let failed = |failed| StackError::failed(format!("start the threads of {interface}"), failed);
        let (value, thread) = thread::start(format!("{interface}/{name}"), failed, body)?;
        Ok((Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) }, value))
    }

    /// Runs `job` soon on the thread. Returns false if the thread has ended.
    pub(crate) fn post(&self, job: impl FnOnce(&mut S) + Send + 'static) -> bool {
        let jobs = self.jobs.lock();
        jobs.as_ref().is_some_and(|jobs| jobs.send(Box::new(job)).is_ok())
    }

    /// Runs `job` on the thread and waits for its result. `None` if the thread has ended.
    pub(crate) fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut S) -> R + Send + 'static) -> Option<R> {
        let (answer, done) = mpsc::channel();
        if !self.post(move |state| drop(answer.send(job(state)))) {
            return None;
        }
        done.recv().ok()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        drop(self.jobs.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Host {
    /// Starts the thread in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn here(interface: &str) -> Result<Self, StackError> {
        Self::start(interface, "host", CapabilitySet::NET_ADMIN, || Ok(((), ()))).map(|(keeper, ())| keeper)
    }

    /// Changes links, addresses or routes of the host.
    ///
    /// # Errors
    /// Those of `change` and of netlink(7); `BrokenPipe` if the thread has ended.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&Netlink) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.run(|()| change(&Netlink::connect()?)).unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }
}
