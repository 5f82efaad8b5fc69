//! Sorts queries by the treatment they get.

use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use crate::options::Options;
use crate::reply::may_forge;
use crate::{ipv4only, reverse};

/// The treatment of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// This is the response: the upstream is not asked.
    Answer(Box<Message>),
    /// The upstream's response passes unchanged.
    Pass,
    /// The upstream's response to this AAAA query decides: see [`wants_a`](crate::wants_a) and
    /// [`synthesise`](crate::synthesise).
    Synthesise,
    /// The upstream is asked this question instead; [`reverse`](crate::reverse()) makes the response.
    Reverse(Query),
}

/// Sorts a query, which has one question.
///
/// A client that sets CD validates itself, so it would reject a forged answer (RFC 6147 section
/// 5.5). A client that clears RD asks for what the upstream knows already. Both get the upstream's
/// response.
#[must_use]
pub fn plan(query: &Message, options: &Options) -> Plan {
    let [question] = query.queries.as_slice() else { return Plan::Pass };
    if query.op_code != OpCode::Query || question.query_class() != DNSClass::IN {
        return Plan::Pass;
    }
    if let Some(response) = ipv4only::answer(query, question, options) {
        return Plan::Answer(Box::new(response));
    }
    if !may_forge(query) {
        return Plan::Pass;
    }
    match question.query_type() {
        RecordType::AAAA if !options.prefixes.is_empty() => Plan::Synthesise,
        RecordType::PTR => plan_reverse(query, question.name(), options),
        _ => Plan::Pass,
    }
}

fn plan_reverse(query: &Message, name: &Name, options: &Options) -> Plan {
    let Some(server) = reverse::meant(name, options) else { return Plan::Pass };
    match ipv4only::answer_reverse(query, name, server) {
        Some(response) => Plan::Answer(Box::new(response)),
        None => Plan::Reverse(Query::query(Name::from(server), RecordType::PTR)),
    }
}
