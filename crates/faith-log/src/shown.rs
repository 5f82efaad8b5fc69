//! The parts of a session that its records show.

/// The ends of a session beside its client that a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The dialled address and the server; also the rule of a refusal, which may name them, and the tag, which names the
    /// gateway of the dialled port.
    pub(crate) destination: bool,
    /// The source of the connection to the server.
    pub(crate) source: bool,
}
