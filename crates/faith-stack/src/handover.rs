//! Frames that came to a worker other than their owner: the kernel spread them without the program, or extension headers
//! hid their ports from it.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most frames that wait for a worker. Further ones are dropped, as a device's queue would.
const ROOM: usize = 1024;

/// The frames that other workers have passed on to one worker.
#[derive(Default)]
pub(crate) struct Handover {
    frames: Mutex<VecDeque<Box<[u8]>>>,
    came: Notify,
}

impl Handover {
    /// Passes a frame on. Returns false if there is no room.
    pub(crate) fn give(&self, frame: &[u8]) -> bool {
        let mut frames = self.frames.lock();
        let room = frames.len() < ROOM;
        if room {
            frames.push_back(frame.into());
        }
        drop(frames);
        self.came.notify_one();
        room
    }

    /// The next frame, if there is one.
    pub(crate) fn next(&self) -> Option<Box<[u8]>> {
        self.frames.lock().pop_front()
    }

    /// Waits until frames have come.
    pub(crate) async fn came(&self) {
        self.came.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_in_order_and_those_beyond_the_room_are_dropped() {
        let handover = Handover::default();
        for number in 0..ROOM {
            assert!(handover.give(&number.to_ne_bytes()));
        }
        assert!(!handover.give(b"one more"));
        handover.came().await;
        for number in 0..ROOM {
            assert_eq!(*handover.next().unwrap(), number.to_ne_bytes());
        }
        assert!(handover.next().is_none());
        assert!(handover.give(b"again"));
        handover.came().await;
        assert_eq!(*handover.next().unwrap(), *b"again");
    }
}
