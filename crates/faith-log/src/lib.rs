//! The log of faithd: lines of text or JSON about sessions, refusals and the daemon itself.
//!
//! ```text
//!  worker ──── record ───┐
//!  worker ──── record ───┼──► queue (bounded) ──► thread of the log: formats, writes ──► sink
//!  JavaScript ── line ───┘
//! ```
//!
//! A worker that ends a session adds a small record to the queue, and neither formats nor waits. The thread takes the
//! queue as a whole, and after each turn lets it gather for a moment, so a busy relay wakes the thread 20 times a second
//! and not once for each session. Lines of JavaScript take the same queue, which keeps the order.
//!
//! No end is dropped silently. Entries beyond the bound of the queue are lost and counted, and a line at their place tells
//! their number. Refusals beyond the relay's rate of reports are summed by client network, and a line tells each sum.
//!
//! | module | holds |
//! |---|---|
//! | `log` | the settings, and the ways by which entries come in |
//! | `entry`, `shown`, `queue` | entries, and the bounded queue in which they wait |
//! | `thread` | the thread that takes entries and gives them to those that consume them |
//! | `lines`, `batch` | formatted entries, and how far they are written |
//! | `sink` | the kinds of places that take lines, and the choice among them |
//! | `file`, `datagrams` | the ways there, beside a descriptor |
//! | `sums` | sums of refusals without a line |
//! | `level`, `format`, `message`, `facts`, `json` | lines: their head, their sentences, their facts |
//! | `journal`, `syslog`, `flat` | entries for journald and syslog, and their facts as names and values |
//! | `ipfix` | records for a collector |
//! | `calendar` | dates |

#![forbid(unsafe_code)]

mod batch;
mod calendar;
mod datagrams;
mod entry;
mod facts;
mod file;
mod flat;
mod format;
pub mod ipfix;
mod journal;
mod json;
mod level;
mod lines;
mod log;
mod message;
mod queue;
#[cfg(test)]
mod samples;
mod shown;
mod sink;
mod sums;
mod syslog;
mod thread;

pub use datagrams::Address;
pub use format::Form;
pub use level::Level;
pub use log::{Log, Settings, StartError};
pub use sink::Target;
