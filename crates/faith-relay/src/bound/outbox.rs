//! The messages of a program that wait for a worker.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::message::Message;

/// The most octets that wait. A call of the program takes microseconds and so does a message, so more than this wait only if
/// the worker is behind.
const ROOM: usize = 4 << 20;

/// The octets that a message counts beside its data.
pub(super) const OVERHEAD: usize = 256;

/// The messages for one worker.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: Vec<Message>,
    octets: usize,
}

impl Outbox {
    /// Adds a message. Returns false if there is no room.
    pub(super) fn put(&self, message: Message) -> bool {
        let mut waiting = self.waiting.lock();
        let octets = waiting.octets + message.data.len() + OVERHEAD;
        let room = octets <= ROOM;
        if room {
            waiting.octets = octets;
            waiting.messages.push(message);
        }
        drop(waiting);
        self.came.notify_one();
        room
    }

    /// Takes the messages that wait.
    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.waiting.lock()).messages
    }

    /// Resolves when messages may have come since the last call.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }
}
