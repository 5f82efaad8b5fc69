//! Waits until clients have acknowledged all bytes, and finds the connections of those that have not.
//!
//! A connection that was closed in order may have bytes or its FIN in the stack until its client receives them. The
//! process has no descriptor of it any more. So the thread of the namespace asks the kernel for the sockets in those
//! states, at intervals, and only while an interface or a listener closes.

use std::fs;
use std::future::{Future, ready};
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use crate::cut::patience;
use crate::namespace::{Inside, Namespace};
use crate::netlink::diag::{States, TcpSocket, sockets};
use crate::shared::Shared;
use crate::warning::{self, Warnings};

/// The pause after the first look. Pauses double up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(100);

/// The pauses between looks, until `within` is over.
struct Pauses {
    begun: Instant,
    within: Duration,
    next: Duration,
}

impl Pauses {
    fn new(within: Duration) -> Self {
        Self { begun: Instant::now(), within, next: SHORTEST }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let left = self.within.checked_sub(self.begun.elapsed()).filter(|left| !left.is_zero())?;
        let pause = self.next.min(left);
        self.next = (self.next * 2).min(LONGEST);
        Some(pause)
    }
}

/// Looks repeatedly until no bytes are being delivered, at most for `within`.
async fn until_delivered<L: Future<Output = bool>, R: Future>(
    within: Duration,
    is_delivering: impl Fn() -> L,
    rest: impl Fn(Duration) -> R,
) {
    for pause in Pauses::new(within) {
        if !is_delivering().await {
            return;
        }
        rest(pause).await;
    }
}

impl Namespace {
    /// Waits until clients have acknowledged all bytes from closed sockets whose local address is `ours`, at most `within`.
    /// It works on any tokio runtime with time enabled.
    pub(crate) async fn delivered(
        &self,
        within: Duration,
        warnings: &Warnings,
        ours: impl Fn(&SocketAddrV6) -> bool + Clone + Send + 'static,
    ) {
        let is_delivering = || {
            let (answer, told) = oneshot::channel();
            let (ours, warnings) = (ours.clone(), warnings.clone());
            // Sending fails if the caller has stopped waiting.
            let look = move |_: &mut Inside| answer.send(is_delivering(&warnings, ours)).unwrap_or_default();
            let posted = self.post(look);
            async move { posted && told.await.unwrap_or(false) }
        };
        until_delivered(within, is_delivering, tokio::time::sleep).await;
    }

    /// Does the same for all sockets, and blocks the calling thread.
    pub(crate) fn deliver(&self, within: Duration, warnings: &Warnings) {
        let is_delivering = || {
            let warnings = warnings.clone();
            ready(self.run(move |_| is_delivering(&warnings, |_| true)).unwrap_or(false))
        };
        // One poll completes it, because every part of it blocks instead of waiting.
        until_delivered(within, is_delivering, |pause| {
            thread::sleep(pause);
            ready(())
        })
        .now_or_never();
    }

    /// Records how long clients may object. Called before connections whose local address is `ours` are reset.
    pub(crate) fn before_resets(
        &self,
        shared: &Shared,
        ours: impl Fn(&SocketAddrV6) -> bool + Send + 'static,
    ) {
        let warnings = shared.warnings.clone();
        let there = self.run(move |_| {
            let mut sockets = look(States::UNFINISHED, &warnings);
            sockets.retain(|socket| ours(&socket.flow.destination));
            sockets
        });
        shared.expect_objections(patience(&there.unwrap_or_default()));
    }

    /// The connections whose clients have not acknowledged their end. From now on the kernel answers every segment from
    /// outside the window, so that the pump can ask for sequence numbers.
    pub(crate) fn unfinished(&self, warnings: &Warnings) -> Vec<TcpSocket> {
        let warnings = warnings.clone();
        let there = self.run(move |_| {
            let sockets = look(States::UNFINISHED, &warnings);
            if !sockets.is_empty() {
                // If /proc/sys is read-only, the limit stays at one answer per half second.
                let _ = fs::write("/proc/sys/net/ipv4/tcp_invalid_ratelimit", "0");
            }
            sockets
        });
        there.unwrap_or_default()
    }
}

fn is_delivering(warnings: &Warnings, ours: impl Fn(&SocketAddrV6) -> bool) -> bool {
    look(States::DELIVERING, warnings).iter().any(|socket| ours(&socket.flow.destination))
}

/// The sockets in these states in the calling thread's namespace. If the kernel cannot list them, this warns and returns
/// none.
fn look(states: States, warnings: &Warnings) -> Vec<TcpSocket> {
    sockets(states).unwrap_or_else(|error| {
        warnings.send(warning::Kind::ConnectionsUnknown(Arc::new(error)));
        Vec::new()
    })
}
