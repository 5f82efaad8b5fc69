//! The two beginnings of an attempt.

/// How far the client's handshake was when the attempt began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Began {
    /// A SYN, which any host can forge.
    WithSyn,
    /// A complete handshake.
    Accepted,
}
