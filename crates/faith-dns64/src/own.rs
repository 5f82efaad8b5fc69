//! Responses for names that this host answers without an upstream.

use std::net::{IpAddr, Ipv6Addr};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};

use crate::options::Options;
use crate::reply::{absence, reply};
use crate::synthesis::{Withheld, synthesise, wants_a};

/// An answer about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// The name has these addresses, and no records of other types.
    Addresses {
        /// IPv4 addresses become A records, IPv6 addresses AAAA records.
        addresses: Vec<IpAddr>,
        /// The seconds that the response may be kept, also where it has no record.
        ttl: u32,
    },
    /// The name does not exist (NXDOMAIN).
    Absent {
        /// The seconds that this may be kept.
        ttl: u32,
    },
    /// The client gets no answer (REFUSED).
    Refused,
}

/// The response to a query about such a name, and the AAAA records that it lacks.
///
/// AAAA records are synthesised by the same rules as from the records of an upstream: for a name that has IPv4 addresses
/// alone, and only where `permits` returns true.
pub fn answer_own(
    query: &Message,
    own: &Own,
    options: &Options,
    permits: impl Fn(Ipv6Addr) -> bool,
) -> (Message, Withheld) {
    let whole = |response| (response, Withheld::default());
    let [question] = query.queries.as_slice() else { return whole(reply(query, ResponseCode::FormErr)) };
    match own {
        Own::Refused => whole(reply(query, ResponseCode::Refused)),
        Own::Absent { ttl } => whole(without_records(query, question, ResponseCode::NXDomain, *ttl)),
        Own::Addresses { addresses, ttl } => {
            let of = |kind| with_addresses(query, question, kind, addresses, *ttl);
            let given = of(question.query_type());
            let a = wants_a(query, &given, options).then(|| of(RecordType::A));
            let made = synthesise(query, &given, a.as_ref(), options, permits);
            (made.response.into_owned(), made.withheld)
        }
    }
}

/// The addresses of one type, or their absence.
fn with_addresses(
    query: &Message,
    question: &Query,
    kind: RecordType,
    addresses: &[IpAddr],
    ttl: u32,
) -> Message {
    let mut response = without_records(query, question, ResponseCode::NoError, ttl);
    for address in addresses {
        let data = match (address, kind) {
            (IpAddr::V4(address), RecordType::A) => RData::A(A(*address)),
            (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(*address)),
            _ => continue,
        };
        response.answers.push(Record::from_rdata(question.name().clone(), ttl, data));
    }
    if !response.answers.is_empty() {
        response.authorities.clear();
    }
    response
}

fn without_records(query: &Message, question: &Query, code: ResponseCode, ttl: u32) -> Message {
    let mut response = reply(query, code);
    response.authorities.push(absence(question.name().clone(), ttl));
    response
}
