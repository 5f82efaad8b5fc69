//! The answers that clients were given lately, for the retransmissions of their SYNs.
//!
//! A client may send its SYN again just before the answer reaches it, and it does so for two minutes where the answer is
//! silence. Each of these would begin another attempt for a connection that is decided already. So the answer to a SYN
//! is kept for a while, and given to its retransmissions: SYNs of the same flow with the same sequence number. A client
//! that dials again has another sequence number (RFC 6528), and gets an attempt of its own.
//!
//! The table has a fixed size. A later answer takes the place of an earlier one, and an answer that is gone only means
//! another attempt. Places are chosen by a hash that no client knows, and no answer needs a timer.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;

/// How many answers the table of an interface keeps.
const ANSWERS: usize = 16_384;

/// Seconds that a RST or an ICMPv6 error is repeated for. A client that has it sends no more; a retransmission was on
/// its way, or the answer was lost.
const TOLD: u32 = 5;

/// Seconds that a SYN is ignored for: Linux sends it for 127 s (`tcp_syn_retries` is 6).
const IGNORED: u32 = 127;

/// The answer that a client's SYN gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynAnswer {
    /// RST.
    Reset,
    /// ICMPv6 Destination Unreachable that quotes the SYN.
    Unreachable(Unreachable),
    /// Nothing: its server did not answer either.
    Silence,
}

impl SynAnswer {
    fn seconds(self) -> u32 {
        match self {
            Self::Reset | Self::Unreachable(_) => TOLD,
            Self::Silence => IGNORED,
        }
    }
}

/// A flow's SYN: its sequence number tells it from those of other connections of the same ports.
pub(crate) type Syn = (Flow, Option<u32>);

/// The answers of one shard of the table.
#[derive(Debug)]
pub(crate) struct Answered {
    /// None before the first answer: most interfaces of a process that makes many have no use for them.
    places: Vec<Place>,
    size: usize,
    hasher: RandomState,
    epoch: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// The keyed hash of the SYN, which stands for it: no client can find another SYN with the same hash.
    mark: u64,
    /// Seconds since the epoch; 0 where there is no answer.
    until: u32,
    answer: SynAnswer,
}

impl Answered {
    /// One of so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        let size = ANSWERS.div_ceil(shards.max(1));
        Self { places: Vec::new(), size, hasher: RandomState::new(), epoch: Instant::now() }
    }

    /// Keeps the answer to a SYN.
    pub(crate) fn keep(&mut self, syn: &Syn, answer: SynAnswer, now: Instant) {
        if self.places.is_empty() {
            self.places = vec![Place { mark: 0, until: 0, answer: SynAnswer::Silence }; self.size];
        }
        let mark = self.hasher.hash_one(syn);
        let until = self.seconds(now) + answer.seconds();
        *self.place(mark) = Place { mark, until, answer };
    }

    /// The answer to a SYN that is a retransmission; `now` is asked for where there is one.
    pub(crate) fn to(&mut self, syn: &Syn, now: impl FnOnce() -> Instant) -> Option<SynAnswer> {
        if self.places.is_empty() {
            return None;
        }
        let mark = self.hasher.hash_one(syn);
        let place = *self.place(mark);
        (place.mark == mark && self.seconds(now()) < place.until).then_some(place.answer)
    }

    fn place(&mut self, mark: u64) -> &mut Place {
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is one")]
        let place = mark as usize % self.places.len();
        &mut self.places[place]
    }

    fn seconds(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.epoch).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX - IGNORED)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;
    use std::time::Duration;

    use super::*;

    fn syn(port: u16, sequence: u32) -> Syn {
        let end = |address: &str, port| SocketAddrV6::new(address.parse().unwrap(), port, 0, 0);
        let flow = Flow { client: end("2001:db8::1", port), destination: end("64:ff9b::c633:6402", 80) };
        (flow, Some(sequence))
    }

    #[test]
    fn a_retransmission_gets_the_answer_and_another_syn_none() {
        let mut answered = Answered::new(4);
        let now = answered.epoch;
        assert_eq!(answered.to(&syn(1024, 7), || now), None);
        answered.keep(&syn(1024, 7), SynAnswer::Reset, now);
        assert_eq!(answered.to(&syn(1024, 7), || now), Some(SynAnswer::Reset));
        assert_eq!(answered.to(&syn(1024, 8), || now), None);
        assert_eq!(answered.to(&syn(1025, 7), || now), None);
    }

    #[test]
    fn an_answer_is_kept_for_seconds_and_silence_for_as_long_as_clients_try() {
        let mut answered = Answered::new(4);
        let now = answered.epoch + Duration::from_secs(1000);
        for answer in [SynAnswer::Reset, SynAnswer::Unreachable(Unreachable::Prohibited), SynAnswer::Silence]
        {
            answered.keep(&syn(1024, 7), answer, now);
            let after = |seconds: u32| now + Duration::from_secs(seconds.into());
            assert_eq!(answered.to(&syn(1024, 7), || after(answer.seconds() - 1)), Some(answer));
            assert_eq!(answered.to(&syn(1024, 7), || after(answer.seconds())), None);
        }
    }

    #[test]
    fn a_flood_of_answers_takes_no_more_room() {
        let mut answered = Answered::new(4);
        let (now, room) = (answered.epoch, answered.size);
        for sequence in 0..100_000 {
            answered.keep(&syn(1024, sequence), SynAnswer::Silence, now);
        }
        assert_eq!(answered.places.len(), room);
        assert_eq!(answered.to(&syn(1024, 99_999), || now), Some(SynAnswer::Silence));
    }
}
