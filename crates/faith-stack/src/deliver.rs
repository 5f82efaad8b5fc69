//! Waiting until clients have acknowledged what they were sent, and finding those that have not.
//!
//! A connection that was closed in order may have bytes, or its FIN, in the stack for as long as the client takes to
//! receive them. No descriptor is left to ask, so the kernel is asked for the sockets of the namespace in those states,
//! now and then, and only while something closes.

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
use crate::warning::{Warnings, What};

/// Time between the first two looks, which doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(100);

/// The pauses between looks, until a time is up.
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

/// Looks again and again until nothing is being delivered, `within` at most.
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
    /// Waits until clients have acknowledged all that closed sockets with a local address that is `ours` have sent them,
    /// `within` at most. For tasks of any tokio runtime with time enabled.
    pub(crate) async fn delivered(
        &self,
        within: Duration,
        warnings: &Warnings,
        ours: impl Fn(&SocketAddrV6) -> bool + Clone + Send + 'static,
    ) {
        let is_delivering = || {
            let (answer, told) = oneshot::channel();
            let (ours, warnings) = (ours.clone(), warnings.clone());
            // Fails when the caller has stopped waiting.
            let look = move |_: &mut Inside| answer.send(is_delivering(&warnings, ours)).unwrap_or_default();
            let posted = self.post(look);
            async move { posted && told.await.unwrap_or(false) }
        };
        until_delivered(within, is_delivering, tokio::time::sleep).await;
    }

    /// The same for all sockets, on a thread that it blocks.
    pub(crate) fn deliver(&self, within: Duration, warnings: &Warnings) {
        let is_delivering = || {
            let warnings = warnings.clone();
            ready(self.run(move |_| is_delivering(&warnings, |_| true)).unwrap_or(false))
        };
        // It has come to its end when it is polled once, as none of its parts waits otherwise than by blocking.
        until_delivered(within, is_delivering, |pause| {
            thread::sleep(pause);
            ready(())
        })
        .now_or_never();
    }

    /// Notes how long clients may object, before connections with a local address that is `ours` are reset.
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

    /// The connections whose clients do not know yet that they have everything. The kernel answers every segment from
    /// outside of their windows from now on, so that it can be asked where they stand.
    pub(crate) fn unfinished(&self, warnings: &Warnings) -> Vec<TcpSocket> {
        let warnings = warnings.clone();
        let there = self.run(move |_| {
            let sockets = look(States::UNFINISHED, &warnings);
            if !sockets.is_empty() {
                // A read-only /proc/sys leaves it at one in half a second.
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

/// The sockets of the namespace of the calling thread in these states; none where the kernel does not tell.
fn look(states: States, warnings: &Warnings) -> Vec<TcpSocket> {
    sockets(states).unwrap_or_else(|error| {
        warnings.send(What::ConnectionsUnknown(Arc::new(error)));
        Vec::new()
    })
}
