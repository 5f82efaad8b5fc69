//! The walk through a packet's extension headers, bounded in headers and in octets.
//!
//! A chain ends at the transport header, or at a fragment header that makes the packet a true
//! fragment: what is behind that one belongs to the original packet and has been seen by nobody yet.

/// How many extension headers a packet may have.
const MAX_HEADERS: usize = 8;

/// How many octets they may take up in all. With this bound the fixed header, the extension headers
/// and the largest TCP header fit into what an ICMPv6 error quotes (1,232 octets).
const MAX_OCTETS: usize = 1024;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Where the walk ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    /// The first header that was not walked: a transport protocol, or in a fragment whatever the
    /// fragment header names.
    pub(crate) protocol: u8,
    /// The octets from that header on.
    pub(crate) payload: &'a [u8],
    /// What the fragment header says, if this is a true fragment.
    pub(crate) fragment: Option<Fragment>,
}

/// Place of a fragment in its original packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// In octets.
    offset: u16,
    more: bool,
}

/// Why a chain cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Too many headers, too long, truncated, out of place, or with somewhere else to go.
    Extension,
    /// A second fragment header.
    Fragment,
}

impl Fragment {
    /// Whether this one starts the original packet.
    pub(crate) fn is_first(self) -> bool {
        self.offset == 0
    }

    /// Whether `length` octets can be this fragment's share of a packet: some octets, a multiple of
    /// eight unless they are the last, and none beyond the largest payload (RFC 8200 section 4.5).
    pub(crate) fn admits(self, length: usize) -> bool {
        length > 0
            && (!self.more || length.is_multiple_of(8))
            && u16::try_from(usize::from(self.offset) + length).is_ok()
    }
}

/// Whether a protocol number is one this walk steps over.
pub(crate) fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Follows the chain that starts with `first` at the start of `payload`.
#[inline]
pub(crate) fn walk(first: u8, payload: &[u8]) -> Result<Chain<'_>, Broken> {
    if is_extension(first) {
        return walk_extensions(first, payload);
    }
    Ok(Chain { protocol: first, payload, fragment: None })
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
            // RFC 4302 section 2.2 counts in units of four octets, minus two; its fixed fields take
            // up three.
            AUTHENTICATION if length == 0 => return Err(Broken::Extension),
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let rest = payload.get(octets..).ok_or(Broken::Extension)?;
        if whole.len() - rest.len() > MAX_OCTETS {
            return Err(Broken::Extension);
        }
        match protocol {
            // RFC 8200 section 4.1: nowhere but right behind the fixed header.
            HOP_BY_HOP if position > 0 => return Err(Broken::Extension),
            // Segments left: the destination address is only a stop on the packet's way.
            ROUTING if fourth != 0 => return Err(Broken::Extension),
            FRAGMENT if saw_fragment => return Err(Broken::Fragment),
            FRAGMENT => {
                saw_fragment = true;
                let field = u16::from_be_bytes([third, fourth]);
                let fragment = Fragment { offset: field & !7, more: field & 1 != 0 };
                // Neither offset nor more: an atomic fragment (RFC 6946) is a whole packet.
                if fragment.offset != 0 || fragment.more {
                    return Ok(Chain { protocol: next, payload: rest, fragment: Some(fragment) });
                }
            }
            _ => {}
        }
        if !is_extension(next) {
            return Ok(Chain { protocol: next, payload: rest, fragment: None });
        }
        protocol = next;
        payload = rest;
    }
    Err(Broken::Extension)
}

#[cfg(test)]
mod tests;
