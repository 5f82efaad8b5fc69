//! Places among the sessions of a relay, for connections that JavaScript makes for a client.

use faith_relay::{Cause, Place};
use napi_derive::napi;
use parking_lot::Mutex;

/// A place, or the limit that left none.
#[napi]
pub struct NativePlace {
    place: Mutex<Option<Place>>,
    cause: Option<Cause>,
}

impl From<Result<Option<Place>, Cause>> for NativePlace {
    fn from(taken: Result<Option<Place>, Cause>) -> Self {
        let cause = taken.as_ref().err().copied();
        Self { place: Mutex::new(taken.ok().flatten()), cause }
    }
}

#[napi]
impl NativePlace {
    /// The limit that is reached, if one is.
    #[napi(getter)]
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        self.cause.map(|cause| cause.name().to_owned())
    }

    /// Gives the place back.
    #[napi]
    pub fn release(&self) {
        drop(self.place.lock().take());
    }
}
