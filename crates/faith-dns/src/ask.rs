//! Queries to upstreams.

use crate::wire::{self, Opt, Question};

/// The block whose multiple a query over TLS is as long as (RFC 8467 section 4.1).
const BLOCK: usize = 128;

/// An id that other hosts cannot guess.
pub(crate) fn random_id() -> u16 {
    hickory_proto::op::Message::query().id
}

/// A query to an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    /// The flags of the query's header.
    pub(crate) flags: u16,
    pub(crate) dnssec_ok: bool,
}

impl Ask {
    /// A query that any server can answer: for the servers of the root.
    pub(crate) fn root() -> Self {
        let question = Question { name: vec![0], kind: wire::NS, class: wire::IN };
        Self { question, flags: wire::RECURSION_DESIRED, dnssec_ok: false }
    }

    /// The query, with a random id.
    pub(crate) fn query(&self) -> Vec<u8> {
        self.written(random_id())
    }

    /// The query for a connection over TLS, which chooses the id. Its length tells little about the name.
    pub(crate) fn padded_query(&self) -> Vec<u8> {
        let mut query = self.written(0);
        wire::pad(&mut query, BLOCK);
        query
    }

    fn written(&self, id: u16) -> Vec<u8> {
        let mut query = Vec::with_capacity(wire::HEADER + self.question.name.len() + 4 + 11);
        query.extend_from_slice(&id.to_be_bytes());
        query.extend_from_slice(&(self.flags | wire::AUTHENTIC).to_be_bytes());
        query.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        self.question.write(&mut query);
        wire::push_opt(&mut query, &Opt::default(), faith_dns64::MAX_PAYLOAD, self.dnssec_ok);
        query
    }
}
