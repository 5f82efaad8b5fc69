//! Entries of the log, before they are lines.

use std::time::{Duration, SystemTime};

use faith_relay::{PortBlockRecord, RefusalRecord, SessionBegin, SessionRecord};

use crate::format::Level;
use crate::ipfix::Loss;
use crate::sums::Sum;

/// The weight of a record in the queue: about its size, and that of its line.
pub(crate) const RECORD: usize = 256;

/// The ends of a session beside its client that a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The dialled address and the server; of a refusal also the rule, which may name them.
    pub(crate) destination: bool,
    /// The source of the connection to the server.
    pub(crate) source: bool,
}

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
    Session(SessionRecord, Shown),
    Refusal(RefusalRecord, Shown),
    Begin {
        time: SystemTime,
        session: SessionBegin,
        shown: Shown,
    },
    PortBlock(PortBlockRecord),
    Sum {
        time: SystemTime,
        sum: Sum,
        interval: Duration,
    },
    Lost {
        time: SystemTime,
        lost: u64,
    },
    /// Records that a collector did not get.
    Unexported {
        time: SystemTime,
        loss: Loss,
    },
}

impl Entry {
    pub(crate) fn time(&self) -> SystemTime {
        match self {
            Self::Said { time, .. }
            | Self::Begin { time, .. }
            | Self::Sum { time, .. }
            | Self::Lost { time, .. }
            | Self::Unexported { time, .. } => *time,
            Self::Session(SessionRecord { started, duration, .. }, _)
            | Self::Refusal(RefusalRecord { started, duration, .. }, _) => *started + *duration,
            Self::PortBlock(block) => block.released.unwrap_or(block.assigned),
        }
    }

    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Said { level, .. } => *level,
            Self::Session(..)
            | Self::Refusal(..)
            | Self::Begin { .. }
            | Self::PortBlock(_)
            | Self::Sum { .. } => Level::Info,
            Self::Lost { .. } | Self::Unexported { .. } => Level::Error,
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
