//! From worker threads to a JavaScript callback, many items to a call.
//!
//! Workers push; the first item of a batch wakes the event loop, which takes all there is by then. So a busy relay
//! costs one call per turn of the loop, and an item costs a lock that is hardly ever contended.

use std::sync::Arc;

use napi::Status;
use napi::bindgen_prelude::{Function, JsValuesTupleIntoVec};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use parking_lot::{Mutex, MutexGuard};

/// Does not keep the event loop alive: see [`KeepAlive`](crate::keep_alive::KeepAlive).
type Wake<A> = ThreadsafeFunction<(), (), A, Status, false, true>;

struct Pending<T> {
    items: Vec<T>,
    woken: bool,
}

/// Items on their way to a callback, which gets them as `A`.
pub(crate) struct Batch<T, A: 'static + JsValuesTupleIntoVec> {
    pending: Arc<Mutex<Pending<T>>>,
    wake: Wake<A>,
}

impl<T: Send + 'static, A: 'static + JsValuesTupleIntoVec> Batch<T, A> {
    /// Calls `callback` with what `convert` makes of the items taken.
    pub(crate) fn new(
        callback: &Function<'_, A, ()>,
        convert: impl Fn(Vec<T>) -> A + Send + 'static,
    ) -> napi::Result<Self> {
        let pending = Arc::new(Mutex::new(Pending { items: Vec::new(), woken: false }));
        let taken = Arc::clone(&pending);
        let wake = callback
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(move |_| {
                let mut pending = taken.lock();
                pending.woken = false;
                let items = std::mem::take(&mut pending.items);
                drop(pending);
                Ok(convert(items))
            })?;
        Ok(Self { pending, wake })
    }

    /// Adds an item; how many wait now.
    pub(crate) fn push(&self, item: T) -> usize {
        self.add(self.pending(), item)
    }

    /// Adds an item unless `limit` wait already.
    pub(crate) fn push_within(&self, limit: usize, item: T) -> bool {
        let pending = self.pending();
        // Other workers push meanwhile, so the place that was seen is only there as long as the lock is held.
        let room = pending.items.len() < limit;
        if room {
            self.add(pending, item);
        }
        room
    }

    fn pending(&self) -> MutexGuard<'_, Pending<T>> {
        self.pending.lock()
    }

    fn add(&self, mut pending: MutexGuard<'_, Pending<T>>, item: T) -> usize {
        pending.items.push(item);
        let waiting = pending.items.len();
        let wake = !std::mem::replace(&mut pending.woken, true);
        drop(pending);
        if wake {
            // Fails only while the environment closes; then nobody is left to tell.
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
        waiting
    }

    /// Forgets what waits.
    pub(crate) fn discard(&self) {
        let items = std::mem::take(&mut self.pending().items);
        // Not under the lock: dropping may take its time.
        drop(items);
    }
}
