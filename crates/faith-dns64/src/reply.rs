//! Responses that this host makes itself.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, Record};

/// The size of UDP messages, in bytes, that fits any path (DNS flag day 2020).
pub const MAX_PAYLOAD: u16 = 1232;

/// The code of the option that carries an extended DNS error (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// RFC 8914 section 4.5: an answer that no zone has.
const FORGED_ANSWER: u16 = 4;

/// The extended errors of a failed validation: RFC 8914, and those of its registry since.
const DNSSEC_ERRORS: [u16; 12] = [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 25, 27];

/// Returns true if the client takes an answer that no zone has.
pub(crate) fn may_forge(query: &Message) -> bool {
    query.recursion_desired && !query.checking_disabled
}

/// A response to `query` without records.
pub(crate) fn reply(query: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(query.id, query.op_code);
    response.metadata = Metadata::response_from_request(query);
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.queries.clone_from(&query.queries);
    response.edns = query.edns.as_ref().map(|asked| {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_PAYLOAD).set_dnssec_ok(asked.flags().dnssec_ok);
        edns
    });
    response
}

/// A response to `query` that says `code` and has no records. [`synthesise`](crate::synthesise) takes
/// it in place of the response that an upstream failed to give.
#[must_use]
pub fn failure(query: &Message, code: ResponseCode) -> Message {
    reply(query, code)
}

/// The record by which a client keeps the absence of data for `ttl` seconds (RFC 2308 section 5). It makes `apex` a zone of
/// its own.
pub(crate) fn absence(apex: Name, ttl: u32) -> Record {
    let contact = Name::from_labels([b"nobody".as_slice(), b"invalid"]).unwrap_or_default();
    let pause = i32::try_from(ttl).unwrap_or(i32::MAX);
    let soa = SOA::new(apex.clone(), contact, 1, pause, pause, pause, ttl);
    Record::from_rdata(apex, ttl, RData::SOA(soa))
}

/// Marks a response as forged: it is not authentic data, and an extended error says so to clients
/// that can read one.
pub(crate) fn mark_forged(response: &mut Message) {
    response.metadata.authentic_data = false;
    if let Some(edns) = &mut response.edns {
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, FORGED_ANSWER.to_be_bytes().to_vec()));
    }
}

/// Copies the extended errors of the upstream's response.
pub(crate) fn copy_errors(response: &mut Message, from: &Message) {
    let (Some(edns), Some(given)) = (&mut response.edns, &from.edns) else { return };
    for option in given.options().get_all(EdnsCode::Unknown(EXTENDED_ERROR)) {
        edns.options_mut().insert(option.clone());
    }
}

/// The seconds that an absence may be kept (RFC 2308 section 5); `None` if no SOA record says.
pub(crate) fn negative_ttl(response: &Message) -> Option<u32> {
    response.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    })
}

/// Returns true if the upstream says that it validated the data and found them bogus.
#[must_use]
pub fn failed_validation(response: &Message) -> bool {
    if response.message_type != MessageType::Response || response.response_code != ResponseCode::ServFail {
        return false;
    }
    let Some(edns) = &response.edns else { return false };
    edns.options().get_all(EdnsCode::Unknown(EXTENDED_ERROR)).into_iter().any(|option| match option {
        EdnsOption::Unknown(_, data) => {
            data.first_chunk().is_some_and(|code| DNSSEC_ERRORS.contains(&u16::from_be_bytes(*code)))
        }
        _ => false,
    })
}
