//! The two sides of a session.

/// One of a session's peers, or the leg towards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}
