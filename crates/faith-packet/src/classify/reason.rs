//! Why packets are dropped, as something to count by.

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Not IPv6, truncated, or of another length than it claims; a TCP header that is not whole.
    Malformed,
    /// keepfaith is 0: nothing is captured.
    Keepfaith,
    /// A source that no client can have, one inside a faith prefix, or a destination outside all of
    /// them.
    Martian,
    /// Extension headers beyond the bounds, truncated, out of place, or with segments left.
    Extension,
    /// A fragment that can never be part of a captured packet.
    Fragment,
    /// ICMPv6 that is neither an error about a TCP packet of ours nor a ping.
    Icmp,
    /// A protocol that cannot be captured, or a ping, whether or not the client was told.
    Unsupported,
    /// The stack sent something that belongs to no captured connection.
    Outbound,
    /// The device on the other side was down, or had no room. Given by the pump.
    Backpressure,
    /// A SYN that connect-first is holding, has given up on, or has no place for yet. Given by the pump.
    Hold,
}

impl DropReason {
    /// Every reason, in the order of [`DropReason::index`].
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::Keepfaith,
        Self::Martian,
        Self::Extension,
        Self::Fragment,
        Self::Icmp,
        Self::Unsupported,
        Self::Outbound,
        Self::Backpressure,
        Self::Hold,
    ];

    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The reason's place in a table of [`DropReason::COUNT`] counters.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason's name in statistics and logs, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Keepfaith => "keepfaith",
            Self::Martian => "martian",
            Self::Extension => "extension",
            Self::Fragment => "fragment",
            Self::Icmp => "icmp",
            Self::Unsupported => "unsupported",
            Self::Outbound => "outbound",
            Self::Backpressure => "backpressure",
            Self::Hold => "hold",
        }
    }
}

#[cfg(test)]
mod tests;
