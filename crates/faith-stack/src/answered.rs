//! Recent answers to SYNs, kept to answer retransmissions of those SYNs.
//!
//! A client may retransmit its SYN just before the answer reaches it, and for two minutes if the answer is silence. Each
//! retransmission would begin another attempt for a connection that is already decided. So the table keeps the answer to
//! a SYN for a while and gives it to retransmissions: SYNs of the same flow with the same sequence number and hop limit. A
//! client that dials again uses another sequence number (RFC 6528) and gets its own attempt, and so does one that looks for
//! the routers on the way with one hop limit after another. Such a client measures the time of each answer, so Time Exceeded
//! is not kept.
//!
//! The table has a fixed size. A later answer overwrites an earlier one in the same place; a lost answer only costs
//! another attempt. A keyed hash, unknown to clients, chooses the place. No answer needs a timer.

use std::hash::{BuildHasher as _, RandomState};
use std::net::Ipv6Addr;
use std::time::Instant;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;
use faith_packet::tcp;
use faith_packet::translate::Icmpv6Error;
use faith_sys::source::hop_limit;
use faith_sys::tun::VIRTIO_HEADER;

/// The number of answers that the table of an interface keeps.
const ANSWERS: usize = 16_384;

/// Seconds for which a RST or an ICMPv6 error is repeated. A client that received it stops; a further SYN was already on
/// its way, or the answer was lost.
const TOLD: u32 = 5;

/// Seconds for which a SYN is ignored: Linux retransmits it for 127 s (`tcp_syn_retries` is 6).
const IGNORED: u32 = 127;

/// The least hop limit of an ordinary SYN. Hosts begin with 64 or more (RFC 1700), and clients are a few routers away.
/// Traceroute and mtr end at 30, unless told otherwise.
const ORDINARY: u8 = 32;

/// The type of ICMPv6 messages by which routers tell that a packet's hop limit ran out.
const TIME_EXCEEDED: u8 = 3;

/// The answer to a client's SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynAnswer {
    /// A RST.
    Reset,
    /// ICMPv6 Destination Unreachable that quotes the SYN.
    Unreachable(Unreachable),
    /// The error of a router on the way, which quotes the SYN.
    Error {
        /// The error.
        error: Icmpv6Error,
        /// The address that means the router.
        from: Ipv6Addr,
    },
    /// No answer, as the server gave none either.
    Silence,
}

impl SynAnswer {
    fn seconds(self) -> u32 {
        match self {
            Self::Error { error, .. } if error.kind == TIME_EXCEEDED => 0,
            Self::Reset | Self::Unreachable(_) | Self::Error { .. } => TOLD,
            Self::Silence => IGNORED,
        }
    }
}

/// The identity of a SYN. Its retransmissions have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Syn {
    /// The client, and what it dialled.
    pub flow: Flow,
    /// The sequence number, which differs between connections of the same ports.
    pub sequence: Option<u32>,
    /// The hop limit that was left.
    pub hop_limit: Option<u8>,
}

impl Syn {
    /// Tells whether the hop limit is so small that the client looks for the routers on the way.
    pub(crate) fn is_probe(&self) -> bool {
        self.hop_limit.is_some_and(|left| left < ORDINARY)
    }

    /// The identity of the SYN of `flow` in `frame`, behind its virtio header.
    #[must_use]
    pub fn of(flow: Flow, frame: &[u8]) -> Self {
        let packet = frame.get(VIRTIO_HEADER..).unwrap_or_default();
        Self { flow, sequence: tcp::sequence(packet), hop_limit: hop_limit(packet) }
    }
}

/// The answers of one shard of the table.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Empty before the first answer: many interfaces never need the memory.
    places: Vec<Place>,
    size: usize,
    hasher: RandomState,
    epoch: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// The keyed hash that identifies the SYN: no client can find another SYN with the same hash.
    mark: u64,
    /// The end of the answer, in seconds since `epoch`; 0 if the place is empty.
    until: u32,
    answer: SynAnswer,
}

impl Answered {
    /// Makes one of `shards` shards.
    pub(crate) fn new(shards: usize) -> Self {
        let size = ANSWERS.div_ceil(shards.max(1));
        Self { places: Vec::new(), size, hasher: RandomState::new(), epoch: Instant::now() }
    }

    /// Keeps the answer to a SYN.
    pub(crate) fn keep(&mut self, syn: &Syn, answer: SynAnswer, now: Instant) {
        if answer.seconds() == 0 {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![Place { mark: 0, until: 0, answer: SynAnswer::Silence }; self.size];
        }
        let mark = self.hasher.hash_one(syn);
        let until = self.seconds(now) + answer.seconds();
        *self.place(mark) = Place { mark, until, answer };
    }

    /// The answer to a SYN that is a retransmission. Calls `now` only if one may be there.
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
        Syn { flow, sequence: Some(sequence), hop_limit: Some(63) }
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
        assert_eq!(answered.to(&Syn { hop_limit: Some(4), ..syn(1024, 7) }, || now), None);
    }

    #[test]
    fn an_answer_is_kept_for_5_s_and_silence_for_127_s() {
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
    fn time_exceeded_is_not_kept_and_another_error_of_a_router_is() {
        let mut answered = Answered::new(4);
        let (now, from) = (answered.epoch, "64:ff9b::cb00:7101".parse().unwrap());
        let about = |kind| SynAnswer::Error { error: Icmpv6Error { kind, code: 0, word: 0 }, from };
        answered.keep(&syn(1024, 7), about(TIME_EXCEEDED), now);
        assert_eq!(answered.to(&syn(1024, 7), || now), None);
        answered.keep(&syn(1024, 7), about(1), now);
        assert_eq!(answered.to(&syn(1024, 7), || now), Some(about(1)));
    }

    #[test]
    fn a_flood_of_answers_does_not_grow_the_table() {
        let mut answered = Answered::new(4);
        let (now, room) = (answered.epoch, answered.size);
        for sequence in 0..100_000 {
            answered.keep(&syn(1024, sequence), SynAnswer::Silence, now);
        }
        assert_eq!(answered.places.len(), room);
        assert_eq!(answered.to(&syn(1024, 99_999), || now), Some(SynAnswer::Silence));
    }
}
