//! Keeps the event loop running while a listener or relay is open.

use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Env, Status};
use parking_lot::Mutex;

/// A function that is never called. The event loop goes on while it exists.
type Reason = ThreadsafeFunction<(), (), (), Status, false, false>;

/// Keeps the event loop of its environment alive, from the start until [`release`](Self::release).
pub(crate) struct KeepAlive(Mutex<Option<Reason>>);

impl KeepAlive {
    pub(crate) fn new(env: &Env) -> napi::Result<Self> {
        let this = Self(Mutex::new(None));
        this.hold(env)?;
        Ok(this)
    }

    pub(crate) fn hold(&self, env: &Env) -> napi::Result<()> {
        let function = env.create_function_from_closure::<(), (), _>("faith", |_| Ok(()))?;
        let reason = function
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .build_callback(|_| Ok(()))?;
        *self.0.lock() = Some(reason);
        Ok(())
    }

    pub(crate) fn release(&self) {
        drop(self.0.lock().take());
    }
}
