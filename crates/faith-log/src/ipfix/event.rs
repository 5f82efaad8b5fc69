//! Events of a relay as records of IPFIX (RFC 8158).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use faith_relay::{Cause, PortBlockRecord, Protocol, RefusalRecord, SessionBegin, SessionEnd, SessionRecord};

use super::template::{self, Template};

/// Values of natEvent, by IANA's registry "NAT Event Type".
const NAT64_SESSION_CREATE: u8 = 6;
const NAT64_SESSION_DELETE: u8 = 7;
const QUOTA_EXCEEDED: u8 = 13;
const PORT_BLOCK_ALLOCATION: u8 = 16;
const PORT_BLOCK_DEALLOCATION: u8 = 17;

/// Values of natQuotaExceededEvent, by IANA's registry "NAT Quota Exceeded Event Type".
const MAXIMUM_SESSION_ENTRIES: u32 = 1;
const MAXIMUM_BIB_ENTRIES: u32 = 2;
const MAXIMUM_ENTRIES_PER_USER: u32 = 3;

/// An event that has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Begin {
        at: SystemTime,
        ends: Ends,
    },
    End {
        ends: Ends,
        started: SystemTime,
        duration: Duration,
        bytes_up: u64,
        bytes_down: u64,
        reason: SessionEnd,
    },
    SessionsFull {
        at: SystemTime,
        limit: u32,
    },
    ClientFull {
        at: SystemTime,
        limit: u32,
        client: Ipv6Addr,
    },
    MappingsFull {
        at: SystemTime,
        limit: u32,
    },
    PortBlock(PortBlockRecord),
}

/// The ends of a session, before and after the translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    protocol: Protocol,
    client: SocketAddrV6,
    destination: SocketAddrV6,
    source: Option<SocketAddr>,
    server: Option<SocketAddr>,
}

impl Event {
    pub(crate) fn begin(at: SystemTime, session: &SessionBegin) -> Self {
        let &SessionBegin { protocol, client, destination, source, server, .. } = session;
        Self::Begin { at, ends: Ends { protocol, client, destination, source, server } }
    }

    pub(crate) fn end(session: &SessionRecord) -> Self {
        let &SessionRecord { protocol, client, destination, source, server, started, duration, .. } = session;
        Self::End {
            ends: Ends { protocol, client, destination, source, server },
            started,
            duration,
            bytes_up: session.bytes_up,
            bytes_down: session.bytes_down,
            reason: session.reason,
        }
    }

    /// The event of a refusal for which RFC 8158 has one: the relay, or a client, had as many sessions or mappings of datagrams as
    /// `limit`.
    pub(crate) fn quota(refusal: &RefusalRecord, limit: Option<u32>) -> Option<Self> {
        let limit = limit?;
        let at = refusal.started.checked_add(refusal.duration).unwrap_or(refusal.started);
        match refusal.cause? {
            Cause::MaxSessions => Some(Self::SessionsFull { at, limit }),
            Cause::MaxMappings => Some(Self::MappingsFull { at, limit }),
            Cause::MaxSessionsPerClient | Cause::MaxMappingsPerClient => {
                Some(Self::ClientFull { at, limit, client: *refusal.client.ip() })
            }
            _ => None,
        }
    }

    /// The template of its record.
    pub(crate) fn template(&self, destinations: bool) -> &'static Template {
        match (self, destinations) {
            (Self::Begin { .. }, false) => &template::BEGIN,
            (Self::Begin { .. }, true) => &template::BEGIN_TO,
            (Self::End { .. }, false) => &template::END,
            (Self::End { .. }, true) => &template::END_TO,
            (Self::SessionsFull { .. }, _) => &template::SESSIONS_FULL,
            (Self::ClientFull { .. }, _) => &template::CLIENT_FULL,
            (Self::MappingsFull { .. }, _) => &template::MAPPINGS_FULL,
            (Self::PortBlock(_), _) => &template::PORT_BLOCK,
        }
    }

    /// Writes its record: the values of its template's elements, in their order.
    pub(crate) fn write(&self, destinations: bool, out: &mut Vec<u8>) {
        match *self {
            Self::Begin { at, ref ends } => {
                head(out, at, NAT64_SESSION_CREATE);
                ends.write(destinations, out);
            }
            Self::End { ref ends, started, duration, bytes_up, bytes_down, reason } => {
                let ended = started.checked_add(duration).unwrap_or(started);
                head(out, ended, NAT64_SESSION_DELETE);
                ends.write(destinations, out);
                for number in [milliseconds(started), milliseconds(ended), bytes_up, bytes_down] {
                    out.extend(number.to_be_bytes());
                }
                out.push(flow_end_reason(reason));
            }
            Self::SessionsFull { at, limit } => {
                head(out, at, QUOTA_EXCEEDED);
                out.extend(MAXIMUM_SESSION_ENTRIES.to_be_bytes());
                out.extend(limit.to_be_bytes());
            }
            Self::MappingsFull { at, limit } => {
                head(out, at, QUOTA_EXCEEDED);
                out.extend(MAXIMUM_BIB_ENTRIES.to_be_bytes());
                out.extend(limit.to_be_bytes());
            }
            Self::ClientFull { at, limit, client } => {
                head(out, at, QUOTA_EXCEEDED);
                out.extend(MAXIMUM_ENTRIES_PER_USER.to_be_bytes());
                out.extend(limit.to_be_bytes());
                out.extend(client.octets());
            }
            Self::PortBlock(block) => {
                let PortBlockRecord { network, prefix_length, source, first, last, .. } = block;
                match block.released {
                    None => head(out, block.assigned, PORT_BLOCK_ALLOCATION),
                    Some(released) => head(out, released, PORT_BLOCK_DEALLOCATION),
                }
                out.extend(network.octets());
                out.push(prefix_length);
                out.extend(ipv4(Some(source)).octets());
                // 65,536 ports would not fit, but port 0 is in no block.
                let count = last.saturating_sub(first).saturating_add(1);
                for number in [first, last, 1, count] {
                    out.extend(number.to_be_bytes());
                }
            }
        }
    }
}

impl Ends {
    fn write(&self, destinations: bool, out: &mut Vec<u8>) {
        out.push(self.protocol.number());
        out.extend(self.client.ip().octets());
        out.extend(self.client.port().to_be_bytes());
        post_nat(out, self.source);
        if destinations {
            out.extend(self.destination.ip().octets());
            out.extend(self.destination.port().to_be_bytes());
            post_nat(out, self.server);
        }
    }
}

fn head(out: &mut Vec<u8>, at: SystemTime, event: u8) {
    out.extend(milliseconds(at).to_be_bytes());
    out.push(event);
}

/// Writes an address and port of the IPv4 side. One that is not known, or not of IPv4, is all zeroes.
fn post_nat(out: &mut Vec<u8>, end: Option<SocketAddr>) {
    out.extend(ipv4(end.map(|end| end.ip())).octets());
    out.extend(end.map_or(0, |end| end.port()).to_be_bytes());
}

fn ipv4(address: Option<IpAddr>) -> Ipv4Addr {
    match address {
        Some(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The reason of a session's end as flowEndReason has it: 1 idle timeout, 3 end of flow detected, 4 forced end.
const fn flow_end_reason(reason: SessionEnd) -> u8 {
    match reason {
        // A side that no longer answers is idle, too.
        SessionEnd::IdleTimeout | SessionEnd::ClientGone | SessionEnd::ServerGone => 1,
        SessionEnd::Closed | SessionEnd::ClientReset | SessionEnd::ServerReset => 3,
        SessionEnd::MaxBytes | SessionEnd::Aborted | SessionEnd::Error => 4,
    }
}
