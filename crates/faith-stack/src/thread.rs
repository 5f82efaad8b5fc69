//! Starts the threads of an interface. The starter waits until the thread reports success or an error.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use crate::error::FailedCall;

/// Reports, once, a thread's success or its error. Dropping it unused reports that the thread has ended.
pub(crate) type Begun<T, E> = mpsc::Sender<Result<T, E>>;

/// Runs `body` on a thread of this name, and waits for the report by its [`Begun`]. `failed` makes the error for a thread
/// that cannot be started, or that ends without a report.
///
/// # Errors
/// The thread's own error, after which it has ended, or the one of `failed`.
pub(crate) fn start<T: Send + 'static, E: Send + 'static>(
    name: String,
    failed: impl Fn(FailedCall) -> E,
    body: impl FnOnce(Begun<T, E>) + Send + 'static,
) -> Result<(T, JoinHandle<()>), E> {
    let clone = |error: io::Error| failed(FailedCall::of("clone")(error));
    let (begun, told) = mpsc::channel();
    let thread = Builder::new().name(name).spawn(move || body(begun)).map_err(clone)?;
    match told.recv().unwrap_or_else(|ended| Err(clone(io::Error::other(ended)))) {
        Ok(value) => Ok((value, thread)),
        Err(error) => {
            // The thread drops its resources before it ends.
            let _ = thread.join();
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(body: impl FnOnce(Begun<u8, String>) + Send + 'static) -> Result<u8, String> {
        let failed = |FailedCall { call, error }: FailedCall| format!("{call}: {error}");
        let (value, thread) = start("test".to_owned(), failed, body)?;
        thread.join().map_err(|_| "panicked".to_owned())?;
        Ok(value)
    }

    #[test]
    fn a_thread_that_reports_success_gives_its_value_and_goes_on() {
        let (go, may_end) = mpsc::channel::<()>();
        let failed = |it: FailedCall| it.error.to_string();
        let body = move |begun: Begun<u8, String>| {
            begun.send(Ok(7)).unwrap();
            let _ = may_end.recv();
        };
        let (value, thread) = start("test".to_owned(), failed, body).unwrap();
        assert_eq!((value, thread.is_finished()), (7, false));
        drop(go);
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_that_fails_gives_its_error() {
        assert_eq!(run(|begun| begun.send(Err("broken".to_owned())).unwrap()), Err("broken".to_owned()));
    }

    #[test]
    fn a_thread_that_ends_without_a_report_is_an_error() {
        assert!(run(drop).unwrap_err().starts_with("clone: "));
    }
}
