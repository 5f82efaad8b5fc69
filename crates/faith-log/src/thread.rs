//! The thread of the log: takes entries from the queue and gives each to those that consume it.

use crate::lines::Lines;
use crate::queue::Queue;

/// Runs until the log is dropped and everything is written, or the reader is gone.
pub(crate) fn run(queue: &Queue, mut lines: Lines) {
    let mut entries = Vec::new();
    while let Some(form) = queue.take(&mut entries) {
        lines.set_form(form);
        lines.reopen_if_asked(queue);
        for entry in entries.drain(..) {
            if !lines.add(&entry, queue) {
                return;
            }
        }
        if !lines.write(queue) {
            return;
        }
    }
}
