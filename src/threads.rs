//! The threads that calls of JavaScript are worked on by.
//!
//! They are all there from when the addon is loaded, and stay: what closes an interface or a listener, reads an access
//! list anew or lets sessions drain must not depend on whether the host has a thread left by then (pids.max, ulimit -u).

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

/// One for what waits (drains, splices), and so many for what blocks; more of that waits its turn.
const WAITING: usize = 1;
const BLOCKING: usize = 4;

/// How long the threads may take to start.
const START: Duration = Duration::from_secs(1);

/// Why there are no threads, if there are none.
static FAILURE: OnceLock<Option<NativeFailure>> = OnceLock::new();

/// Before anything of the addon is called, napi's own runtime is replaced: it panics where threads run out. Each
/// environment that loads the addon comes here, and all have the same threads.
///
/// # Errors
/// None: what fails is told by [`unready`], as an error here would leave napi to its own runtime.
#[napi(module_exports)]
pub fn init(_exports: Object<'_>) -> napi::Result<()> {
    FAILURE.get_or_init(start);
    Ok(())
}

fn start() -> Option<NativeFailure> {
    let mut failure = None;
    // tokio panics too when it cannot start a thread, and says so on stderr; so it is tried first.
    let made = try_threads(WAITING + BLOCKING).and_then(|()| {
        catch_unwind(runtime).unwrap_or_else(|_| Err(std::io::Error::from_raw_os_error(EAGAIN)))
    });
    let runtime = made.or_else(|error| {
        failure = Some(StackError::threads("start the threads of faithd", error).into());
        // napi wants one, and this one has no thread; [`unready`] keeps callers from asking it for anything.
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

/// Has the runtime start each thread that blocks: it does while all others are busy.
fn start_blocking(runtime: &Runtime) {
    let started = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..BLOCKING {
        let started = Arc::clone(&started);
        runtime.spawn_blocking(move || {
            let (count, all) = &*started;
            let mut count = count.lock();
            *count += 1;
            all.notify_all();
            // Where a thread is missing all the same, those that are there go to work.
            all.wait_while_for(&mut count, |count| *count < BLOCKING, START);
        });
    }
}

/// Whether so many threads can be started.
fn try_threads(count: usize) -> std::io::Result<()> {
    let tried: Vec<(Sender<()>, JoinHandle<()>)> = (0..count)
        .map(|_| {
            let (end, ended) = channel::<()>();
            // It ends when the sender is dropped.
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

/// Why nothing can be asked of the addon; `null` where it can. No promise of it is settled otherwise.
#[napi(ts_return_type = "NativeFailure | null")]
#[must_use]
pub fn unready() -> Option<NativeFailure> {
    FAILURE.get().cloned().flatten()
}
