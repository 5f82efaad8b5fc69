//! The two ways in which an attempt begins.

/// Progress of the client's handshake when the attempt began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Began {
    /// A SYN, which any host can forge.
    WithSyn,
    /// A complete handshake.
    Accepted,
}
