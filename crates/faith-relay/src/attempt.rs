//! A session from the client's first sign of life to its record, whatever becomes of it in between.

use std::io;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::began::Began;
use crate::cause::Cause;
use crate::clients::Place;
use crate::engine::Engine;
use crate::live::Live;
use crate::pairing::Tuple;
use crate::record::{EndReason, SessionRecord};
use crate::route::Open;
use crate::tasks::Peers;
use crate::upstream::Refusal;

/// A session or the attempt at one. Dropping it frees its place, counts the end and writes the record;
/// unless somebody set another reason, it was [`EndReason::Aborted`]. What is handed over has no end here, and no record.
pub(crate) struct Attempt {
    engine: Arc<Engine>,
    worker: usize,
    live: Arc<Live>,
    pub(crate) server: Option<SocketAddrV4>,
    /// Whether a router chose the server, so that the access list has no say.
    pub(crate) routed: bool,
    pub(crate) began: Began,
    /// Its place among the open questions, where a route is still to be asked.
    pub(crate) question: Option<Open>,
    /// Its place among the sessions, where these are limited, from when its client has been accepted.
    pub(crate) place: Option<Place>,
    pub(crate) reason: EndReason,
    cause: Option<Cause>,
    errno: Option<i32>,
    /// Whether client and server have been joined.
    pub(crate) joined: bool,
    handed_over: bool,
}

impl Attempt {
    pub(crate) fn new(
        engine: &Arc<Engine>,
        worker: usize,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            worker,
            live: Arc::new(Live::new(engine.enter(), client, destination)),
            server: None,
            routed: false,
            began: Began::WithSyn,
            question: None,
            place: None,
            reason: EndReason::Aborted,
            cause: None,
            errno: None,
            joined: false,
            handed_over: false,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.live.id
    }

    pub(crate) fn peers(&self) -> Peers {
        Peers { live: Arc::clone(&self.live), server: self.server, routed: self.routed }
    }

    pub(crate) fn tuple(&self) -> Tuple {
        Tuple::new(&self.live.client, &self.live.destination)
    }

    pub(crate) fn client(&self) -> &SocketAddrV6 {
        &self.live.client
    }

    pub(crate) fn destination(&self) -> &SocketAddrV6 {
        &self.live.destination
    }

    /// Ends it without a session.
    pub(crate) fn fail(mut self, refusal: &Refusal) {
        let Refusal { reason, cause, errno, source, .. } = *refusal;
        if let Some(error) = errno.map(io::Error::from_raw_os_error) {
            match source {
                Some(source) => self.engine.cannot_use(source, &error),
                None if reason == EndReason::Exhausted => self.engine.ran_out(&error),
                None => {}
            }
        }
        (self.reason, self.cause, self.errno) = (reason, cause, errno);
    }

    /// Ends it because the connection is somebody else's from now on.
    pub(crate) fn hand_over(mut self) {
        self.handed_over = true;
    }

    /// Goes on on the thread of this worker, whose counters it uses from now on.
    pub(crate) fn move_to(&mut self, worker: usize) {
        if self.worker == worker {
            return;
        }
        self.engine.forget_task(self.worker, self.id());
        self.worker = worker;
    }

    /// Counts bytes that were handed to the server and to the client.
    #[inline]
    pub(crate) fn moved(&mut self, up: u64, down: u64) {
        self.live.moved(up, down);
        self.engine.counters(self.worker).moved(up, down);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.handed_over {
            return self.engine.let_go(self.worker, self.id());
        }
        // A client that is told of this end, or reads of it, finds the place free.
        drop(self.place.take());
        let now = Instant::now();
        let duration = now.saturating_duration_since(self.live.started);
        let record = SessionRecord {
            id: self.id(),
            client: self.live.client,
            destination: self.live.destination,
            server: self.server,
            bytes_up: self.live.bytes_up(),
            bytes_down: self.live.bytes_down(),
            // The wall clock may have been set since; its reading at the start is not worth 16 bytes a
            // session.
            started: SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH),
            duration,
            reason: self.reason,
            cause: self.cause,
            errno: self.errno,
            joined: self.joined,
        };
        self.engine.leave(self.worker, &self.tuple(), record, now);
    }
}
