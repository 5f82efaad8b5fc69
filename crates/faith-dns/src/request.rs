//! Queries of clients: read, or answered with an error at once.

use hickory_proto::op::{Message, OpCode};

use crate::wire::{self, HEADER, Opt, Question};

/// The code of a message that cannot be read.
const FORMAT_ERROR: u16 = 1;
/// The code for what this server does not do.
const NOT_IMPLEMENTED: u16 = 4;
/// The code for what this server does not want to do.
const REFUSED: u16 = 5;
/// The upper bits of BADVERS (16), which only an OPT record can carry.
const BAD_VERSION: u8 = 1;

const IN: u16 = 1;
/// IXFR, AXFR, and the mail types between them and ANY: an upstream transfers no zone to a forwarder.
const TRANSFERS: std::ops::RangeInclusive<u16> = 251..=254;

/// A query that can be answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) message: Message,
    pub(crate) question: Question,
    /// The second word of the header.
    pub(crate) flags: u16,
    /// The OPT record, if the client sent one.
    pub(crate) edns: Option<Edns>,
}

/// The parts of a client's OPT record that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The largest datagram that the client takes, in bytes.
    pub(crate) payload: u16,
    pub(crate) dnssec_ok: bool,
}

/// The fate of octets that are not such a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// They are no query at all: an answer might hit a third party, or go round for ever.
    Drop,
    /// This response tells the client of its mistake.
    Answer(Vec<u8>),
}

impl Request {
    pub(crate) fn read(octets: &[u8]) -> Result<Self, Rejected> {
        let flags = wire::word(octets, 2).filter(|_| octets.len() >= HEADER).ok_or(Rejected::Drop)?;
        if flags & wire::RESPONSE != 0 {
            return Err(Rejected::Drop);
        }
        if flags & wire::OPCODE != u16::from(u8::from(OpCode::Query)) << 11 {
            return Err(Rejected::Answer(error(octets, None, NOT_IMPLEMENTED)));
        }
        let malformed = |question| Rejected::Answer(error(octets, question, FORMAT_ERROR));
        // One question, and no record but an OPT record and signatures.
        if [4, 6, 8].map(|place| wire::word(octets, place)) != [Some(1), Some(0), Some(0)] {
            return Err(malformed(None));
        }
        let question = Question::read(octets).ok_or_else(|| malformed(None))?;
        let message = Message::from_vec(octets).map_err(|_| malformed(Some(&question)))?;
        let edns = message.edns.as_ref();
        if edns.is_some_and(|edns| edns.version() != 0) {
            let mut response = error(octets, Some(&question), 0);
            let opt = Opt { code: BAD_VERSION, errors: Vec::new() };
            wire::push_opt(&mut response, &opt, faith_dns64::MAX_PAYLOAD, false);
            return Err(Rejected::Answer(response));
        }
        let edns = edns.map(|edns| Edns { payload: edns.max_payload(), dnssec_ok: edns.flags().dnssec_ok });
        let request = Self { message, question, flags, edns };
        if request.question.class != IN || TRANSFERS.contains(&request.question.kind) {
            return Err(Rejected::Answer(request.refused()));
        }
        Ok(request)
    }

    /// The response that refuses the query.
    pub(crate) fn refused(&self) -> Vec<u8> {
        self.empty(REFUSED)
    }

    /// A response without records.
    pub(crate) fn empty(&self, flags: u16) -> Vec<u8> {
        let mut response = Vec::with_capacity(HEADER + self.question.name.len() + 4);
        response.extend_from_slice(&self.message.id.to_be_bytes());
        response.extend_from_slice(&answering(self.flags, flags).to_be_bytes());
        response.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        self.question.write(&mut response);
        if let Some(edns) = self.edns {
            wire::push_opt(&mut response, &Opt::default(), faith_dns64::MAX_PAYLOAD, edns.dnssec_ok);
        }
        response
    }

    /// The largest datagram that the client takes, and that is not split on the way.
    pub(crate) fn datagram_limit(&self) -> usize {
        let asked = self.edns.map_or(512, |edns| edns.payload.max(512));
        usize::from(asked.min(faith_dns64::MAX_PAYLOAD))
    }
}

/// The flags of a response: those of the query that it repeats, and `flags`.
fn answering(query: u16, flags: u16) -> u16 {
    let repeated = wire::OPCODE | wire::RECURSION_DESIRED | wire::CHECKING_DISABLED;
    wire::RESPONSE | 0x0080 | query & repeated | flags
}

/// A response to octets of which little could be read.
fn error(octets: &[u8], question: Option<&Question>, code: u16) -> Vec<u8> {
    let (id, flags) = (wire::word(octets, 0).unwrap_or(0), wire::word(octets, 2).unwrap_or(0));
    let mut response = Vec::with_capacity(HEADER);
    response.extend_from_slice(&id.to_be_bytes());
    response.extend_from_slice(&answering(flags, code).to_be_bytes());
    response.extend_from_slice(&[0, u8::from(question.is_some()), 0, 0, 0, 0, 0, 0]);
    if let Some(question) = question {
        question.write(&mut response);
    }
    response
}
