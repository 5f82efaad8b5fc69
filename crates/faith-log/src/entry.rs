//! Entries of the log, before they are lines.

use std::time::{Duration, SystemTime};

use faith_relay::{RefusalRecord, SessionBegin, SessionRecord};

use crate::format::Level;
use crate::sums::Sum;

/// The weight of a record in the queue: about its size, and that of its line.
pub(crate) const RECORD: usize = 256;

/// Something that gets a line.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A sentence of JavaScript: the facts are an object of JSON.
    Said {
        time: SystemTime,
        level: Level,
        facts: String,
        message: String,
    },
    Session(SessionRecord),
    Refusal(RefusalRecord),
    Begin {
        time: SystemTime,
        session: SessionBegin,
    },
    Sum {
        time: SystemTime,
        sum: Sum,
        interval: Duration,
    },
    Lost {
        time: SystemTime,
        lost: u64,
    },
}

impl Entry {
    pub(crate) fn time(&self) -> SystemTime {
        match self {
            Self::Said { time, .. }
            | Self::Begin { time, .. }
            | Self::Sum { time, .. }
            | Self::Lost { time, .. } => *time,
            Self::Session(SessionRecord { started, duration, .. })
            | Self::Refusal(RefusalRecord { started, duration, .. }) => *started + *duration,
        }
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Said { level, .. } => *level,
            Self::Session(_) | Self::Refusal(_) | Self::Begin { .. } | Self::Sum { .. } => Level::Info,
            Self::Lost { .. } => Level::Error,
        }
    }

    /// The part of the queue's bound that it takes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Said { facts, message, .. } => RECORD + facts.len() + message.len(),
            _ => RECORD,
        }
    }
}
