//! Answers for ipv4only.arpa, by which clients learn the prefix (RFC 7050).
//!
//! RFC 8880 section 7 has a DNS64 answer for this name and for the reverse names of its two addresses
//! itself, whatever the upstream does. A phone that gets no answer may leave the network. The zones
//! are unsigned, so there is nothing to validate. The one exception is the DS record, which belongs to
//! the zone above: the upstream has the signed proof that it does not exist.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::options::Options;
use crate::reply::{absence, reply};

/// The addresses of ipv4only.arpa (RFC 7050 section 2.2).
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// The zones answered here, from the root.
const ZONES: [&[&[u8]]; 3] = [
    &[b"arpa", b"ipv4only"],
    &[b"arpa", b"in-addr", b"192", b"0", b"0", b"170"],
    &[b"arpa", b"in-addr", b"192", b"0", b"0", b"171"],
];

/// The seconds that records without a prefix in them may be kept.
const TTL: u32 = 86_400;

/// The seconds that a client may keep the prefix, or its absence.
const PREFIX_TTL: u32 = 600;

/// The response to a question about one of the zones; `None` for every other question.
///
/// This host has the zones, so RD makes no difference. A client that sets CD gets no address of a prefix: it asked
/// for none that is made (RFC 7050 section 3 has clients clear CD).
pub(crate) fn answer(query: &Message, question: &Query, options: &Options) -> Option<Message> {
    let name = question.name();
    let zone = ZONES.into_iter().find(|zone| is_below(name, zone))?;
    let apex = name.trim_to(zone.len());
    let at_apex = usize::from(name.num_labels()) == zone.len();
    if at_apex && question.query_type() == RecordType::DS {
        return None;
    }

    let mut response = reply(query, ResponseCode::NoError);
    response.metadata.authoritative = true;
    let is_forward = zone.len() == 2;
    let record = |ttl, data| Record::from_rdata(name.clone(), ttl, data);
    match question.query_type() {
        _ if !at_apex => response.metadata.response_code = ResponseCode::NXDomain,
        RecordType::A if is_forward => {
            response.answers.extend(ADDRESSES.map(|address| record(TTL, RData::A(A(address)))));
        }
        RecordType::AAAA if is_forward && !query.checking_disabled => {
            response
                .answers
                .extend(prefixed(options).map(|address| record(PREFIX_TTL, RData::AAAA(AAAA(address)))));
        }
        RecordType::PTR if !is_forward => response.answers.push(record(TTL, pointer())),
        RecordType::SOA => {
            let mut soa = absence(apex.clone(), PREFIX_TTL);
            soa.ttl = TTL;
            response.answers.push(soa);
        }
        _ => {}
    }
    if response.answers.is_empty() {
        response.authorities.push(absence(apex, PREFIX_TTL));
    }
    Some(response)
}

/// The response to the PTR query of an address that means one of the two; `None` for other addresses.
pub(crate) fn answer_reverse(query: &Message, name: &Name, server: Ipv4Addr) -> Option<Message> {
    if !ADDRESSES.contains(&server) {
        return None;
    }
    let mut response = reply(query, ResponseCode::NoError);
    response.metadata.authoritative = true;
    response.answers.push(Record::from_rdata(name.clone(), PREFIX_TTL, pointer()));
    Some(response)
}

/// The two addresses in every prefix. They are in a special-purpose block, and yet RFC 7050 section 3
/// has them under the well-known prefix.
fn prefixed(options: &Options) -> impl Iterator<Item = Ipv6Addr> {
    let in_prefix = |prefix| ADDRESSES.map(|address| options.mappings.embed(prefix, address));
    options.prefixes.iter().flat_map(in_prefix).flatten()
}

fn pointer() -> RData {
    RData::PTR(PTR(name_of(ZONES[0])))
}

fn name_of(labels: &[&[u8]]) -> Name {
    Name::from_labels(labels.iter().rev().copied()).unwrap_or_default()
}

/// Returns true if `name` is the zone's apex or below it.
fn is_below(name: &Name, zone: &[&[u8]]) -> bool {
    let mut labels = name.iter().rev();
    zone.iter().all(|label| labels.next().is_some_and(|have| have.eq_ignore_ascii_case(label)))
}
