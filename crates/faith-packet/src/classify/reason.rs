//! The reasons for dropping packets, each with a counter.

/// The reason a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The packet is not IPv6, or its length is not the one it claims, or its TCP or UDP header is not whole.
    Malformed,
    /// keepfaith is 0, so nothing is captured.
    Keepfaith,
    /// The source is illegal for a client or inside a faith prefix, or the destination is outside all
    /// prefixes.
    Martian,
    /// The extension headers exceed the bounds, are truncated or out of place, or have segments left.
    Extension,
    /// The fragment can never be part of a captured packet, or its datagram did not become whole. The pump counts the
    /// latter.
    Fragment,
    /// The ICMPv6 message is neither an error about a packet that the client got nor a ping.
    Icmp,
    /// The protocol cannot be captured, or the packet is a ping; answered or not.
    Unsupported,
    /// The stack sent a packet that belongs to no captured connection.
    Outbound,
    /// The device on the other side was down or had no room. The pump counts this one.
    Backpressure,
    /// Connect-first holds this SYN already, has given up on it, or has no place for it yet. Or the
    /// socket for its port, made on demand, could not be made, or too many SYNs wait for it. Or the
    /// packet is a datagram beyond those that wait for a route. The pump and the relay count this one.
    Hold,
    /// The packet is a SYN to a port that neither a relay nor a listener has, and the kernel answered it with a RST. The
    /// pump and the shortcut count the answers.
    NoListener,
    /// The datagram's checksum is wrong or missing. The pump counts this one.
    Checksum,
}

impl DropReason {
    /// Every reason, in the order of [`DropReason::index`].
    pub const ALL: [Self; 12] = [
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
        Self::NoListener,
        Self::Checksum,
    ];

    /// The number of reasons.
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
            Self::NoListener => "no-listener",
            Self::Checksum => "checksum",
        }
    }
}

#[cfg(test)]
mod tests;
