//! The way for queries to a connection, and the signs of its life.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The time after which a connection that carries nothing is closed.
pub(crate) const IDLE: Duration = Duration::from_secs(30);

/// The silence after a query that a connection does not outlive: something on the way may have forgotten it.
const SILENCE: Duration = Duration::from_millis(1500);

/// The place for a response.
pub(crate) type Reply = oneshot::Sender<Vec<u8>>;

/// A query, and the place for its response.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) query: Vec<u8>,
    pub(crate) reply: Reply,
}

/// The state that both ends of a link know.
#[derive(Debug, Default)]
struct Life {
    /// The connection is made.
    made: Cell<bool>,
    /// The time of the first query since the last response.
    asked: Cell<Option<Instant>>,
    /// A response came, at any time.
    heard: Cell<bool>,
}

/// The callers' end of a connection, which may still be under way.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    jobs: mpsc::UnboundedSender<Job>,
    life: Rc<Life>,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Jobs {
    queue: mpsc::UnboundedReceiver<Job>,
    life: Rc<Life>,
}

impl Link {
    pub(crate) fn new() -> (Self, Jobs) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let life = Rc::new(Life::default());
        (Self { jobs, life: Rc::clone(&life) }, Jobs { queue, life })
    }

    /// The response to a query; `None` if the connection gives none.
    pub(crate) async fn ask(&self, query: Vec<u8>) -> Option<Vec<u8>> {
        let (reply, response) = oneshot::channel();
        self.jobs.send(Job { query, reply }).ok()?;
        if self.life.asked.get().is_none() {
            self.life.asked.set(Some(Instant::now()));
        }
        response.await.ok()
    }

    /// Returns true if the connection takes queries.
    pub(crate) fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Returns true once the connection was made.
    pub(crate) fn was_made(&self) -> bool {
        self.life.made.get()
    }

    /// Returns true if the server has left queries without a response for long.
    pub(crate) fn is_silent(&self) -> bool {
        self.was_made() && self.life.asked.get().is_some_and(|asked| asked.elapsed() >= SILENCE)
    }

    /// Returns true if the server has said anything on this connection.
    pub(crate) fn was_heard(&self) -> bool {
        self.life.heard.get()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.life, &other.life)
    }
}

impl Jobs {
    /// Returns true if `link` is the other end.
    pub(crate) fn are_of(&self, link: &Link) -> bool {
        Rc::ptr_eq(&self.life, &link.life)
    }

    /// The next query; `None` when there will be none.
    pub(crate) async fn next(&mut self) -> Option<Job> {
        self.queue.recv().await
    }

    /// A query that waits already.
    pub(crate) fn waiting(&mut self) -> Option<Job> {
        self.queue.try_recv().ok()
    }

    /// Marks the connection as made. The queries so far begin to wait for their responses only now.
    pub(crate) fn made(&self) {
        self.life.made.set(true);
        self.life.asked.set(Some(Instant::now()));
    }

    /// Marks that the server has said something.
    pub(crate) fn heard(&self) {
        self.life.asked.set(None);
        self.life.heard.set(true);
    }

    /// Returns true if the server has said anything on this connection.
    pub(crate) fn were_heard(&self) -> bool {
        self.life.heard.get()
    }
}
