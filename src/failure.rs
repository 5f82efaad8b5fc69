//! Errors as values that cross to JavaScript.

use faith_stack::StackError;
use napi::bindgen_prelude::Either;
use napi_derive::napi;

/// A failed operation; `lib/errors.ts` makes a `FaithError` of it.
#[napi(object)]
#[derive(Clone)]
pub struct NativeFailure {
    /// Always `true`: tells a failure from the operation's value.
    pub failed: bool,
    /// The stable code that programs test; none if the errno has no name here.
    pub code: Option<String>,
    /// The text that people read.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// The kernel's errno if the kernel refused, negative as in Node.
    pub errno: Option<i32>,
    /// The system call that the kernel refused, if it did.
    pub syscall: Option<String>,
}

impl NativeFailure {
    pub(crate) fn new(code: &str, message: impl ToString) -> Self {
        Self {
            failed: true,
            code: Some(code.to_owned()),
            message: message.to_string(),
            hint: None,
            errno: None,
            syscall: None,
        }
    }
}

impl From<StackError> for NativeFailure {
    fn from(error: StackError) -> Self {
        Self {
            failed: true,
            code: error.code().map(str::to_owned),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
            errno: error.errno().map(i32::wrapping_neg),
            syscall: error.syscall().map(str::to_owned),
        }
    }
}

/// A value, or the failure in its place.
pub(crate) type Outcome<T> = Either<NativeFailure, T>;

pub(crate) fn outcome<T>(result: Result<T, NativeFailure>) -> Outcome<T> {
    match result {
        Ok(value) => Either::B(value),
        Err(failure) => Either::A(failure),
    }
}

/// Runs `work`, which may block, off the event loop.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NativeFailure> + Send + 'static,
) -> napi::Result<Outcome<T>> {
    napi::bindgen_prelude::spawn_blocking(work)
        .await
        .map(outcome)
        .map_err(|error| napi::Error::from_reason(error.to_string()))
}
