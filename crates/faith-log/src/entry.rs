//! Entries of the log, before they are lines.

use std::time::{Duration, SystemTime};

use faith_packet::access::WrittenRule;
use faith_relay::{DenyingRule, PortBlockRecord, RefusalRecord, SessionBegin, SessionRecord};

use crate::facts;
use crate::ipfix::Loss;
use crate::level::Level;
use crate::message;
use crate::shown::Shown;
use crate::sums::Sum;

/// The weight of a record in the queue: about its size, and that of its line.
pub(crate) const RECORD: usize = 256;

#[cfg(test)]
impl Shown {
    /// Everything but the source, as by default.
    pub(crate) const ALL: Self = Self { destination: true, source: false };
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
}

impl Entry {
    /// A line of the log about itself.
    pub(crate) fn own(level: Level, facts: String, message: String) -> Self {
        Self::Said { time: SystemTime::now(), level, facts, message }
    }

    /// Tells the number of lines that were lost.
    pub(crate) fn lost(lost: u64, why: &str) -> Self {
        Self::own(Level::Error, format!("{{\"lost\":{lost}}}"), message::lost(lost, why))
    }

    /// Tells the number of records that a collector did not get.
    pub(crate) fn unexported(loss: &Loss) -> Self {
        let (mut facts, mut message) = (String::from("{\"unexported\":"), String::new());
        facts::unexported(&mut facts, loss);
        facts.push('}');
        message::unexported(&mut message, loss);
        Self::own(Level::Error, facts, message)
    }

    /// The rule that denied an attempt. It may name the destination.
    pub(crate) fn rule(&self) -> Option<WrittenRule> {
        match self {
            Self::Refusal(record, Shown { destination: true, .. }) => {
                record.rule.as_ref().and_then(DenyingRule::written)
            }
            _ => None,
        }
    }

    pub(crate) fn time(&self) -> SystemTime {
        match self {
            Self::Said { time, .. } | Self::Begin { time, .. } | Self::Sum { time, .. } => *time,
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
