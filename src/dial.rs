//! Connections to clients from addresses inside a prefix.

use std::sync::Arc;
use std::time::Duration;

use faith_relay::{Dial, SpliceHandle};
use faith_stack::StackError;
use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;

use crate::connection::{NativeConnection, describe};
use crate::failure::{NativeFailure, Outcome, blocking, outcome};
use crate::interface::NativeInterface;
use crate::splice::{NativeSpliceHandle, end, refused};

/// The two ends of a connection to a client.
#[napi(object)]
pub struct NativeDial {
    /// The address inside a prefix that the client sees.
    pub from: String,
    /// The port that the client sees; 0 lets the kernel choose one.
    pub from_port: u16,
    /// The client's address.
    pub to: String,
    /// The client's port.
    pub port: u16,
    /// Longest time that the client may take to answer, in milliseconds.
    pub connect_timeout_ms: u32,
}

#[napi]
impl NativeInterface {
    /// Connects to a client. If the handle is stopped, the resulting failure has no meaning.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeConnection>")]
    pub fn dial<'env>(
        &self,
        env: &'env Env,
        dial: NativeDial,
        #[napi(ts_arg_type = "NativeSpliceHandle")] handle: &NativeSpliceHandle,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeConnection>>> {
        let (interface, guide) = (Arc::clone(&self.interface), self.interface.guide());
        let handle: SpliceHandle = handle.handle();
        env.spawn_future(async move {
            let name = interface.name().to_owned();
            // The future must not hold the interface while it waits: the interface closes when JavaScript drops it.
            let begun = blocking(move || {
                let dial = read_dial(&dial)?;
                Ok((dial, dial.begin(&interface, handle)?))
            });
            let (dial, (worker, made)) = match begun.await? {
                Outcome::B(begun) => begun,
                Outcome::A(failure) => return Ok(Outcome::A(failure)),
            };
            Ok(outcome(match made.await {
                Some(Ok(connection)) => Ok(describe(&guide, None, worker, connection)),
                Some(Err(error)) => {
                    let what = format!("connect from {} to {}", dial.from, dial.to);
                    Err(refused(what, "connect", error.into_error()))
                }
                None => Err(StackError::Closed(name).into()),
            }))
        })
    }
}

fn read_dial(dial: &NativeDial) -> Result<Dial, NativeFailure> {
    Ok(Dial {
        from: end(&dial.from, dial.from_port)?,
        to: end(&dial.to, dial.port)?,
        connect_timeout: Duration::from_millis(dial.connect_timeout_ms.into()),
    })
}
