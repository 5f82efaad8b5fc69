//! Waiting until clients have acknowledged what they were sent, and finding those that have not.
//!
//! A connection that was closed in order may have bytes, or its FIN, in the stack for as long as the client takes to
//! receive them. No descriptor is left to ask, so the kernel is asked for the sockets of the namespace in those states,
//! now and then, and only while something closes.

use std::fs;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::cut::patience;
use crate::interface::Shared;
use crate::namespace::{Inside, Namespace};
use crate::netlink::diag::{States, TcpSocket, sockets};
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

impl Namespace {
    /// Waits until clients have acknowledged all that closed sockets have sent them, `within` at most.
    pub(crate) fn deliver(&self, within: Duration, warnings: &Warnings) {
        for pause in Pauses::new(within) {
            let warnings = warnings.clone();
            if !self.run(move |_| is_delivering(&warnings, |_| true)).unwrap_or(false) {
                return;
            }
            std::thread::sleep(pause);
        }
    }

    /// The same for sockets with a local address that is `ours`, for tasks of any tokio runtime with time enabled.
    pub(crate) async fn delivered(
        &self,
        within: Duration,
        warnings: &Warnings,
        ours: impl Fn(&SocketAddrV6) -> bool + Clone + Send + 'static,
    ) {
        for pause in Pauses::new(within) {
            let (answer, told) = oneshot::channel();
            let (ours, warnings) = (ours.clone(), warnings.clone());
            // Fails when the caller has stopped waiting.
            let look = move |_: &mut Inside| answer.send(is_delivering(&warnings, ours)).unwrap_or_default();
            if !self.post(look) || !told.await.unwrap_or(false) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Before open connections are reset whose local address is `ours`: notes how long their clients may take to object.
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
