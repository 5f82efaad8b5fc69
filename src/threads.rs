//! The threads that work on JavaScript's calls.
//!
//! All of them start when the addon is loaded, and stay. Closing an interface or a listener, reading an access list again
//! and draining sessions must not depend on a thread being left on the host by then (pids.max, ulimit -u).

use std::panic::catch_unwind;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use faith_stack::StackError;
use napi::bindgen_prelude::{Object, create_custom_tokio_runtime};
use napi_derive::napi;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Runtime};

use crate::failure::NativeFailure;

/// One thread for calls that wait (drains, splices), and four for calls that block. Further blocking calls queue.
const WAITING: usize = 1;
const BLOCKING: usize = 4;

/// Longest time that the threads may take to start.
const START: Duration = Duration::from_secs(1);

/// The failure to start the threads, if they failed to start.
static FAILURE: OnceLock<Option<NativeFailure>> = OnceLock::new();

/// Replaces napi's own runtime, which panics if threads run out, before JavaScript calls the addon. Each environment that
/// loads the addon calls this, and all share the same threads.
///
/// # Errors
/// None: [`unready`] tells of the failure, because an error here would make napi use its own runtime.
#[napi(module_exports)]
pub fn init(_exports: Object<'_>) -> napi::Result<()> {
    FAILURE.get_or_init(start);
    Ok(())
}

fn start() -> Option<NativeFailure> {
    let mut failure = None;
    // Tries the threads first, because tokio too panics if it cannot start one, and prints that on stderr.
    let made = try_threads(WAITING + BLOCKING).and_then(|()| {
        catch_unwind(runtime).unwrap_or_else(|_| Err(std::io::Error::from_raw_os_error(EAGAIN)))
    });
    let runtime = made.or_else(|error| {
        failure = Some(StackError::threads("start the threads of faithd", error).into());
        // napi needs a runtime, and this one has no thread. [`unready`] keeps callers from using it.
        Builder::new_current_thread().build()
    });
    if let Ok(runtime) = runtime {
        create_custom_tokio_runtime(runtime);
    }
    failure
}

const EAGAIN: i32 = 11;

fn runtime() -> std::io::Result<Runtime> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WAITING)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(Duration::MAX)
        .thread_name("faith/calls")
        .enable_time()
        .build()?;
    start_blocking(&runtime);
    Ok(runtime)
}

/// Has the runtime start all threads for blocking calls: it starts one while all others are busy.
fn start_blocking(runtime: &Runtime) {
    let started = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..BLOCKING {
        let started = Arc::clone(&started);
        runtime.spawn_blocking(move || {
            let (count, all) = &*started;
            let mut count = count.lock();
            *count += 1;
            all.notify_all();
            // If a thread is missing nevertheless, the others go to work after this time.
            all.wait_while_for(&mut count, |count| *count < BLOCKING, START);
        });
    }
}

/// Tries to start this many threads at once.
fn try_threads(count: usize) -> std::io::Result<()> {
    let tried: Vec<(Sender<()>, JoinHandle<()>)> = (0..count)
        .map(|_| {
            let (end, ended) = channel::<()>();
            // The thread ends when the sender is dropped.
            let wait = move || {
                let _ = ended.recv();
            };
            std::thread::Builder::new().spawn(wait).map(|thread| (end, thread))
        })
        .collect::<Result<_, _>>()?;
    for (end, thread) in tried {
        drop(end);
        let _ = thread.join();
    }
    Ok(())
}

/// The failure because of which the addon cannot be used; `null` if it can. After a failure no promise of the addon is ever
/// settled.
#[napi(ts_return_type = "NativeFailure | null")]
#[must_use]
pub fn unready() -> Option<NativeFailure> {
    FAILURE.get().cloned().flatten()
}
