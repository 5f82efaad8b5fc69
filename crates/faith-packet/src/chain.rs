//! The walk through a packet's extension headers, bounded in headers and in octets.
//!
//! A chain ends at the transport header, or at the fragment header of a true fragment: the octets
//! behind it belong to the original packet, which the kernel has not reassembled yet.

/// The most extension headers that a packet may have.
const MAX_HEADERS: usize = 8;

/// The most octets that they may take up together. With this bound, the fixed header, the extension
/// headers and the largest TCP header fit into the quote of an ICMPv6 error (1,232 octets).
const MAX_OCTETS: usize = 1024;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The end of the walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    /// The first header that was not walked: a transport protocol, or the header that a fragment
    /// header names.
    pub(crate) protocol: u8,
    /// The octets from that header on.
    pub(crate) payload: &'a [u8],
    /// The fragment header's fields, if this is a true fragment.
    pub(crate) fragment: Option<Fragment>,
    /// True if there is a fragment header: the packet may be fragmented on its way over IPv4 (RFC 7915 section 5.1.1).
    pub(crate) fragmentable: bool,
}

/// The place of a fragment in its original packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// In octets.
    offset: u16,
    more: bool,
}

/// Errors of a chain that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Headers too many, too long, truncated or out of place, or a routing header with segments left.
    Extension,
    /// A second fragment header.
    Fragment,
}

impl Fragment {
    /// In octets.
    pub(crate) fn offset(self) -> u16 {
        self.offset
    }

    /// Returns true if more fragments follow this one.
    pub(crate) fn more(self) -> bool {
        self.more
    }

    /// Returns true if this fragment starts the original packet.
    pub(crate) fn is_first(self) -> bool {
        self.offset == 0
    }

    /// Returns true if `length` octets can be this fragment's share of a packet: at least one octet, a
    /// multiple of eight unless it is the last fragment, and none beyond the largest payload (RFC 8200
    /// section 4.5).
    pub(crate) fn admits(self, length: usize) -> bool {
        length > 0
            && (!self.more || length.is_multiple_of(8))
            && u16::try_from(usize::from(self.offset) + length).is_ok()
    }
}

/// Returns true for the protocol numbers of extension headers that the walk steps over.
pub(crate) fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Follows the chain that starts with `first` at the start of `payload`.
#[inline]
pub(crate) fn walk(first: u8, payload: &[u8]) -> Result<Chain<'_>, Broken> {
    if is_extension(first) {
        return walk_extensions(first, payload);
    }
    Ok(Chain { protocol: first, payload, fragment: None, fragmentable: false })
}

fn walk_extensions(first: u8, whole: &[u8]) -> Result<Chain<'_>, Broken> {
    let mut protocol = first;
    let mut payload = whole;
    let mut saw_fragment = false;

    for position in 0..MAX_HEADERS {
        let (&[next, length, third, fourth], _) =
            payload.split_first_chunk::<4>().ok_or(Broken::Extension)?;
        let octets = match protocol {
            FRAGMENT => 8,
            // RFC 4302 section 2.2: the length field counts units of four octets, minus two. The
            // fixed fields take up three units.
            AUTHENTICATION if length == 0 => return Err(Broken::Extension),
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let rest = payload.get(octets..).ok_or(Broken::Extension)?;
        if whole.len() - rest.len() > MAX_OCTETS {
            return Err(Broken::Extension);
        }
        match protocol {
            // RFC 8200 section 4.1: hop-by-hop options stand right behind the fixed header only.
            HOP_BY_HOP if position > 0 => return Err(Broken::Extension),
            // With segments left, the destination address is only an intermediate stop.
            ROUTING if fourth != 0 => return Err(Broken::Extension),
            FRAGMENT if saw_fragment => return Err(Broken::Fragment),
            FRAGMENT => {
                saw_fragment = true;
                let field = u16::from_be_bytes([third, fourth]);
                let fragment = Fragment { offset: field & !7, more: field & 1 != 0 };
                // A fragment without offset and "more" flag is atomic (RFC 6946): a whole packet.
                if fragment.offset != 0 || fragment.more {
                    return Ok(Chain {
                        protocol: next,
                        payload: rest,
                        fragment: Some(fragment),
                        fragmentable: true,
                    });
                }
            }
            _ => {}
        }
        if !is_extension(next) {
            return Ok(Chain { protocol: next, payload: rest, fragment: None, fragmentable: saw_fragment });
        }
        protocol = next;
        payload = rest;
    }
    Err(Broken::Extension)
}

#[cfg(test)]
mod tests;
