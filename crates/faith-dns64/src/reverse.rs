//! Answers the reverse query of an address in a prefix by the name of the IPv4 server it means.
//!
//! RFC 6147 section 5.3.1 has the DNS64 say that the reverse name in ip6.arpa is an alias (CNAME) of the
//! one in in-addr.arpa. The rest is the upstream's response about that name, also where it has no name.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV6};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::options::Options;
use crate::reply::{copy_errors, mark_forged, negative_ttl, reply};

/// The IPv4 server that the address with this reverse name means.
pub(crate) fn meant(name: &Name, options: &Options) -> Option<Ipv4Addr> {
    let network = name.parse_arpa_name().ok()?;
    let IpAddr::V6(address) = network.addr() else { return None };
    if network.prefix_len() != 128 {
        return None;
    }
    let prefix = options.prefixes.iter().find(|prefix| prefix.contains(&address))?;
    let server = options.mappings.resolve(prefix, SocketAddrV6::new(address, 0, 0, 0))?;
    Some(*server.ip())
}

/// The response to the reverse query of an address in a prefix, made from the upstream's response to
/// the question of `Plan::Reverse`.
///
/// An error of the upstream passes without a record.
#[must_use]
pub fn reverse(query: &Message, ptr: &Message, options: &Options) -> Message {
    let mut response = reply(query, ptr.response_code);
    let [question] = query.queries.as_slice() else { return response };
    let is_answer = matches!(ptr.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    if let Some(server) = meant(question.name(), options).filter(|_| is_answer) {
        let alias = RData::CNAME(CNAME(Name::from(server)));
        response.answers.push(Record::from_rdata(question.name().clone(), ttl(ptr), alias));
        response.answers.extend_from_slice(&ptr.answers);
        response.authorities.clone_from(&ptr.authorities);
        response.additionals.clone_from(&ptr.additionals);
        mark_forged(&mut response);
    } else {
        copy_errors(&mut response, ptr);
    }
    response.metadata.truncation = ptr.truncation;
    response
}

/// The seconds that the alias may be kept: as long as the upstream's response.
fn ttl(ptr: &Message) -> u32 {
    let answers = ptr.answers.iter().map(|record| record.ttl).min();
    let has_name = ptr.answers.iter().any(|record| record.record_type() == RecordType::PTR);
    let absence = if has_name { None } else { negative_ttl(ptr) };
    answers.into_iter().chain(absence).min().unwrap_or(0)
}
