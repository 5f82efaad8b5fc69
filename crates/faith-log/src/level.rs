//! The importance of lines.

/// The importance of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The daemon ends.
    Fatal,
    /// Something was not done.
    Error,
    /// Something is probably not meant so.
    Warn,
    /// Something happened.
    Info,
    /// For those who look for a fault.
    Debug,
}

impl Level {
    /// Every level, the most important first.
    pub const ALL: [Self; 5] = [Self::Fatal, Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// Its severity in syslog and the journal (RFC 5424 section 6.2.1).
    pub(crate) const fn severity(self) -> u8 {
        match self {
            Self::Fatal => 2,
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }

    pub(crate) const fn capitals(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }

    /// Its colour on a terminal (ECMA-48).
    pub(crate) const fn colour(self) -> u8 {
        match self {
            Self::Fatal => 41,
            Self::Error => 31,
            Self::Warn => 33,
            Self::Info => 32,
            Self::Debug => 34,
        }
    }
}
