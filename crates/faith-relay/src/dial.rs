//! Connections to clients from addresses inside a prefix, as the data connections of active FTP need them.
//!
//! A namespace of its own has the socket, so the thread of that namespace makes it. A worker then waits for the client.

use std::net::SocketAddrV6;
use std::time::Duration;

use faith_stack::{Captured, FaithInterface, StackError};
use faith_sys::reactor::register_for;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::connect_error::ConnectError;
use crate::splice::SpliceHandle;
use crate::upstream::connected;

/// A connection to a client.
#[derive(Debug, Clone, Copy)]
pub struct Dial {
    /// The address inside a prefix that the client sees, and its port; 0 lets the kernel choose a port.
    pub from: SocketAddrV6,
    /// The client.
    pub to: SocketAddrV6,
    /// Longest time that the client may take to answer.
    pub connect_timeout: Duration,
}

impl Dial {
    /// Begins the connection, and returns the number of the worker that serves it. The future resolves to `None` if the
    /// interface is closed, or `handle` stopped, before the connection is made or fails. Blocks briefly.
    ///
    /// # Errors
    /// Those of [`FaithInterface::dial`]. [`ConnectError`] if the client refuses, is not reached or does not answer.
    pub fn begin(
        self,
        interface: &FaithInterface,
        handle: SpliceHandle,
    ) -> Result<
        (usize, impl Future<Output = Option<Result<Captured, ConnectError>>> + Send + use<>),
        StackError,
    > {
        let begun = interface.dial(self.from, self.to)?;
        // Any worker may serve it. Both ports together spread the connections that share one of them.
        let worker = usize::from(self.from.port() ^ self.to.port()) % interface.workers();
        let (decided, made) = oneshot::channel();
        interface.run_on(worker, move || {
            spawn_local(async move {
                tokio::select! {
                    // A connection for which no caller waits is closed.
                    outcome = self.made(begun) => drop(decided.send(outcome)),
                    () = handle.stopped() => {}
                }
            });
        });
        Ok((worker, async { made.await.ok() }))
    }

    async fn made(self, begun: Captured) -> Result<Captured, ConnectError> {
        let socket = register_for(begun.socket, Interest::WRITABLE)?;
        let deadline = Instant::now() + self.connect_timeout;
        connected(&socket, &mut Alarm::new(deadline), deadline).await?;
        Ok(Captured { socket: AsyncFd::into_inner(socket), ..begun })
    }
}
