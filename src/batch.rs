//! Passes items from worker threads to a JavaScript callback, many items to a call.
//!
//! Workers push items. The first one of a batch wakes the event loop, which takes all items that are there by then. So a
//! busy relay costs one call per turn of the loop, and an item costs a lock that is hardly ever contended.

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
    /// Calls `callback` with each batch, converted by `convert`.
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

    /// Adds an item, and returns the number of items that wait now.
    pub(crate) fn push(&self, item: T) -> usize {
        self.add(self.pending(), item)
    }

    /// Adds an item unless `limit` wait already; `false` if it was not added.
    pub(crate) fn push_within(&self, limit: usize, item: T) -> bool {
        let pending = self.pending();
        // Holds the lock until the item is added, because other workers push too.
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
            // Fails only while the environment closes, when no JavaScript is left to be told.
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
        waiting
    }

    /// Drops the items that wait.
    pub(crate) fn discard(&self) {
        let items = std::mem::take(&mut self.pending().items);
        // Drops them without the lock, because this may take long.
        drop(items);
    }
}
