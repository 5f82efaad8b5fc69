//! Makes AAAA records out of A records.
//!
//! The function follows RFC 6147 section 5.1 step by step: a usable AAAA record or NXDOMAIN ends it,
//! everything else depends on the A records. It reads the answer section alone. A records of the
//! additional section belong to other names.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::AAAA;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::options::{Failures, Options};
use crate::plan::{Plan, plan};
use crate::reply::{copy_errors, failed_validation, mark_forged, negative_ttl, reply};

/// The most AAAA records that one response gets: A records and prefixes multiply.
pub const MAX_ADDRESSES: usize = 256;

/// The longest chain of aliases that is followed.
const MAX_ALIASES: usize = 16;

/// The most seconds that a synthesised record may be kept if the AAAA response has no SOA record
/// (RFC 6147 section 5.1.7).
const TTL_WITHOUT_SOA: u32 = 600;

/// A response to an AAAA query.
#[derive(Clone, Debug)]
pub struct Synthesis<'a> {
    /// Borrowed if the upstream's response passes unchanged. An owned one has the query's id, and is marked as forged.
    pub response: Cow<'a, Message>,
    /// The AAAA records that were not made.
    pub withheld: Withheld,
}

/// Counts of AAAA records that were not made of the A records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// The client may not connect to their addresses.
    pub denied: usize,
    /// A prefix has no address for the server: it is the well-known one and the server's address is special-use, or the
    /// relay would take the address for another server.
    pub unusable: usize,
}

impl<'a> Synthesis<'a> {
    /// A response without a record that was withheld.
    fn whole(response: Cow<'a, Message>) -> Self {
        Self { response, withheld: Withheld::default() }
    }
}

/// The meaning of a response to an AAAA query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Native {
    /// The response is the client's answer.
    Final,
    /// The name has a usable AAAA record and an excluded one.
    Partly,
    /// The name has no usable AAAA record.
    Missing,
}

/// Returns true if the A records of the name decide about the response to this AAAA query, because
/// `aaaa`, the upstream's response, has no usable AAAA record.
#[must_use]
pub fn wants_a(query: &Message, aaaa: &Message, options: &Options) -> bool {
    plan(query, options) == Plan::Synthesise && native(query, aaaa, options) == Native::Missing
}

/// The response to an AAAA query.
///
/// `aaaa` and `a` are the upstream's responses to the query and to the same query for A records; `a`
/// is `None` if the upstream was not asked, because [`wants_a`] returned false. A missing response
/// counts as SERVFAIL (RFC 6147 section 5.1.3): give [`failure`](crate::failure()). `permits` returns
/// true if the client may connect to an address in a prefix.
pub fn synthesise<'a>(
    query: &Message,
    aaaa: &'a Message,
    a: Option<&Message>,
    options: &Options,
    permits: impl Fn(Ipv6Addr) -> bool,
) -> Synthesis<'a> {
    if plan(query, options) != Plan::Synthesise {
        return Synthesis::whole(Cow::Borrowed(aaaa));
    }
    match (native(query, aaaa, options), a) {
        (Native::Final, _) => Synthesis::whole(Cow::Borrowed(aaaa)),
        (Native::Missing, Some(a)) => from_a(query, aaaa, a, options, permits),
        (Native::Partly, _) | (Native::Missing, None) => {
            Synthesis::whole(without_excluded(query, aaaa, options))
        }
    }
}

fn native(query: &Message, aaaa: &Message, options: &Options) -> Native {
    if aaaa.truncation {
        return Native::Final;
    }
    match aaaa.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Native::Final,
        _ if options.failures == Failures::Pass || failed_validation(aaaa) => return Native::Final,
        _ => return Native::Missing,
    }
    let end = end_of_chain(query, aaaa);
    let mut usable = false;
    for address in aaaa.answers.iter().filter(|record| Some(&record.name) == end).filter_map(ipv6_of) {
        usable |= !options.excludes(address);
    }
    match usable {
        true if aaaa.answers.iter().any(|record| is_excluded(record, options)) => Native::Partly,
        true => Native::Final,
        false => Native::Missing,
    }
}

/// The response made of the A records, or of their absence.
fn from_a<'a>(
    query: &Message,
    aaaa: &'a Message,
    a: &Message,
    options: &Options,
    permits: impl Fn(Ipv6Addr) -> bool,
) -> Synthesis<'a> {
    if a.response_code != ResponseCode::NoError {
        let mut response = reply(query, a.response_code);
        response.answers = aliases(a);
        response.authorities.clone_from(&a.authorities);
        copy_errors(&mut response, a);
        return Synthesis::whole(Cow::Owned(response));
    }
    let (made, withheld) = addresses(query, aaaa, a, options, permits);
    let is_forged = !made.is_empty() || aaaa.answers.iter().any(|record| is_excluded(record, options));
    if !is_forged && aaaa.response_code == ResponseCode::NoError && !a.truncation {
        return Synthesis { response: Cow::Borrowed(aaaa), withheld };
    }
    let mut response = reply(query, ResponseCode::NoError);
    response.metadata.truncation = a.truncation;
    response.answers = aliases(a);
    // NS records alone would make a response without addresses a referral (RFC 2308 section 2.2).
    if !made.is_empty() || negative_ttl(a).is_some() {
        response.authorities.clone_from(&a.authorities);
    }
    if !made.is_empty() {
        response.answers.extend(made);
        response.additionals.clone_from(&a.additionals);
    }
    if is_forged {
        mark_forged(&mut response);
    } else {
        copy_errors(&mut response, a);
    }
    take_case(query, &mut response);
    Synthesis { response: Cow::Owned(response), withheld }
}

/// Gives the records of the query's name that name as the client wrote it, in upper or lower case.
fn take_case(query: &Message, response: &mut Message) {
    let Some(name) = query.queries.first().map(Query::name) else { return };
    for record in response.answers.iter_mut().filter(|record| record.name == *name) {
        record.name.clone_from(name);
    }
}

/// The synthesised records, in the order of the A records, and the counts of those that were not made.
fn addresses(
    query: &Message,
    aaaa: &Message,
    a: &Message,
    options: &Options,
    permits: impl Fn(Ipv6Addr) -> bool,
) -> (Vec<Record>, Withheld) {
    let most = negative_ttl(aaaa).unwrap_or(TTL_WITHOUT_SOA);
    let end = end_of_chain(query, a);
    let (mut made, mut withheld) = (Vec::new(), Withheld::default());
    for record in a.answers.iter().filter(|record| Some(&record.name) == end) {
        let RData::A(server) = &record.data else { continue };
        if record.dns_class != DNSClass::IN {
            continue;
        }
        for address in options.addresses_of(server.0) {
            match address {
                None => withheld.unusable += 1,
                Some(address) if !permits(address) => withheld.denied += 1,
                Some(address) => {
                    let data = RData::AAAA(AAAA(address));
                    made.push(Record::from_rdata(record.name.clone(), record.ttl.min(most), data));
                }
            }
            if made.len() == MAX_ADDRESSES {
                return (made, withheld);
            }
        }
    }
    (made, withheld)
}

/// The upstream's response, without the AAAA records that no client may get.
fn without_excluded<'a>(query: &Message, aaaa: &'a Message, options: &Options) -> Cow<'a, Message> {
    if !aaaa.answers.iter().any(|record| is_excluded(record, options)) {
        return Cow::Borrowed(aaaa);
    }
    let mut response = reply(query, aaaa.response_code);
    let stays = |record: &&Record| {
        !is_excluded(record, options) && covered(record).is_none_or(|covered| covered != RecordType::AAAA)
    };
    response.answers.extend(aaaa.answers.iter().filter(stays).cloned());
    response.authorities.clone_from(&aaaa.authorities);
    response.additionals.clone_from(&aaaa.additionals);
    mark_forged(&mut response);
    Cow::Owned(response)
}

/// The records that lead from the query's name to the one with addresses, and their signatures.
fn aliases(response: &Message) -> Vec<Record> {
    let is_alias = |kind| matches!(kind, RecordType::CNAME | RecordType::DNAME);
    let leads = |record: &&Record| is_alias(covered(record).unwrap_or_else(|| record.record_type()));
    response.answers.iter().filter(leads).cloned().collect()
}

/// The last name of the chain of aliases that begins with the query's name. A server that answers by
/// a DNAME record gives a CNAME record with it (RFC 6672 section 3.1), so those suffice.
fn end_of_chain<'a>(query: &'a Message, response: &'a Message) -> Option<&'a Name> {
    let mut name = query.queries.first()?.name();
    for _ in 0..MAX_ALIASES {
        let alias = response.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name => Some(&target.0),
            _ => None,
        });
        match alias {
            Some(target) => name = target,
            None => return Some(name),
        }
    }
    None
}

fn ipv6_of(record: &Record) -> Option<Ipv6Addr> {
    match &record.data {
        RData::AAAA(address) if record.dns_class == DNSClass::IN => Some(address.0),
        _ => None,
    }
}

fn is_excluded(record: &Record, options: &Options) -> bool {
    ipv6_of(record).is_some_and(|address| options.excludes(address))
}

/// The type of the records that an RRSIG record signs (RFC 4034 section 3.1).
fn covered(record: &Record) -> Option<RecordType> {
    match &record.data {
        RData::Unknown { code: RecordType::RRSIG, rdata } => {
            rdata.anything.first_chunk().map(|kind| RecordType::from(u16::from_be_bytes(*kind)))
        }
        _ => None,
    }
}
