//! Queries of clients: read, or answered with an error at once.

use std::cell::OnceCell;
use std::ops::Deref;

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::rdata::opt::EdnsCode;

use crate::wire::{self, HEADER, Opt, Question};

/// The code of a message that cannot be read.
const FORMAT_ERROR: u16 = 1;
/// The code for what this server does not do.
const NOT_IMPLEMENTED: u16 = 4;
/// The code for what this server does not want to do.
const REFUSED: u16 = 5;
/// The upper bits of BADVERS (16), which only an OPT record can carry.
const BAD_VERSION: u8 = 1;

/// IXFR, AXFR, and the mail types between them and ANY: an upstream transfers no zone to a forwarder.
const TRANSFERS: std::ops::RangeInclusive<u16> = 251..=254;

/// The least size of datagrams that a client takes, in bytes, whatever it says.
const LEAST_PAYLOAD: u16 = 512;

/// A query that can be answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) message: Lazy,
    pub(crate) id: u16,
    pub(crate) question: Question,
    /// The second word of the header.
    pub(crate) flags: u16,
    /// The OPT record, if the client sent one.
    pub(crate) edns: Option<Edns>,
}

/// The query as a message. An answer out of the cache does not need it, so a plain query is read when it is used.
#[derive(Clone, Debug)]
pub(crate) struct Lazy {
    octets: Vec<u8>,
    message: OnceCell<Message>,
}

impl Deref for Lazy {
    type Target = Message;

    /// The message; an empty one if a plain query cannot be read after all.
    fn deref(&self) -> &Message {
        self.message.get_or_init(|| Message::from_vec(&self.octets).unwrap_or_else(|_| Message::query()))
    }
}

/// The parts of a client's OPT record that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The largest datagram that the client takes, in bytes.
    pub(crate) payload: u16,
    pub(crate) dnssec_ok: bool,
    /// The client padded its query, and wants its response padded, too (RFC 7830).
    pub(crate) padded: bool,
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
        let id = wire::word(octets, 0).unwrap_or(0);
        if let Some(Plain { edns }) = plain(octets, &question) {
            let message = Lazy { octets: octets.to_vec(), message: OnceCell::new() };
            return Ok(Self { message, id, question, flags, edns });
        }
        let message = Message::from_vec(octets).map_err(|_| malformed(Some(&question)))?;
        let edns = message.edns.as_ref();
        if edns.is_some_and(|edns| edns.version() != 0) {
            let mut response = error(octets, Some(&question), 0);
            let opt = Opt { code: BAD_VERSION, errors: Vec::new() };
            wire::push_opt(&mut response, &opt, faith_dns64::MAX_PAYLOAD, false);
            return Err(Rejected::Answer(response));
        }
        let edns = edns.map(|edns| Edns {
            payload: edns.max_payload(),
            dnssec_ok: edns.flags().dnssec_ok,
            padded: edns.option(EdnsCode::Padding).is_some(),
        });
        let message = Lazy { octets: Vec::new(), message: message.into() };
        let request = Self { message, id, question, flags, edns };
        if request.question.class != wire::IN || TRANSFERS.contains(&request.question.kind) {
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
        response.extend_from_slice(&self.id.to_be_bytes());
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
        let asked = self.edns.map_or(LEAST_PAYLOAD, |edns| edns.payload);
        usize::from(asked.min(faith_dns64::MAX_PAYLOAD))
    }
}

/// A query as nearly all are: of class IN and an ordinary type, and if it has an OPT record, that is of version 0 and has
/// no options.
struct Plain {
    edns: Option<Edns>,
}

fn plain(octets: &[u8], question: &Question) -> Option<Plain> {
    if question.class != wire::IN || TRANSFERS.contains(&question.kind) {
        return None;
    }
    let rest = octets.get(HEADER + question.name.len() + 4..)?;
    match (wire::word(octets, 10)?, rest) {
        (0, []) => Some(Plain { edns: None }),
        // The root, OPT, the size, no code, version 0, flags without those that are reserved, no options.
        (1, [0, 0, 41, high, low, 0, 0, flags @ (0 | 0x80), 0, 0, 0]) => {
            // A smaller size means this one (RFC 6891 section 6.2.3).
            let payload = u16::from_be_bytes([*high, *low]).max(LEAST_PAYLOAD);
            Some(Plain { edns: Some(Edns { payload, dnssec_ok: *flags != 0, padded: false }) })
        }
        _ => None,
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
