//! Responses of upstreams, as they are kept and as clients get them.

use std::cell::{Ref, RefCell};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use faith_dns64::Options;
use faith_packet::prefix::FaithPrefix;
use hickory_proto::op::Message;
use tokio::time::Instant;

use crate::request::Request;
use crate::settings::Settings;
use crate::wire::{self, Opt, Question, Section};

/// The longest time that anything is kept, in seconds, also by clients.
const MAX_TTL: u32 = 86_400;

/// The longest time that the absence of data is kept, in seconds (RFC 2308 section 5 finds one to three hours to work
/// well).
const MAX_ABSENCE: u32 = 10_800;

/// The longest response that is kept of those that were made: a longer one does not fit into a datagram.
const LONGEST: usize = faith_dns64::MAX_PAYLOAD as usize;

/// A response of an upstream, without its OPT record.
#[derive(Debug)]
pub(crate) struct Entry {
    octets: Vec<u8>,
    ttls: Vec<usize>,
    opt: Opt,
    since: Instant,
    /// The seconds that the response may be kept.
    lifetime: u32,
    /// The answer that was made of this response to an AAAA query.
    made: RefCell<Option<Box<Made>>>,
}

impl Entry {
    /// Reads an upstream's response. `None` if it is not one to this question.
    pub(crate) fn read(mut octets: Vec<u8>, question: &Question) -> Option<Self> {
        let flags = wire::word(&octets, 2)?;
        if flags & wire::RESPONSE == 0 || !Question::read(&octets)?.is_same(question) {
            return None;
        }
        let mut places = wire::places(&mut octets)?;
        let opt = wire::take_opt(&mut octets, &mut places);
        let lifetime = lifetime(&octets, &places, &opt);
        let ttls: Vec<usize> = places.iter().map(|place| place.ttl).collect();
        wire::limit(&mut octets, &ttls, MAX_TTL);
        octets.shrink_to_fit();
        Some(Self { octets, ttls, opt, since: Instant::now(), lifetime, made: RefCell::default() })
    }

    /// The flags of the header.
    pub(crate) fn flags(&self) -> u16 {
        wire::word(&self.octets, 2).unwrap_or(0)
    }

    /// The response's code, of twelve bits.
    pub(crate) fn code(&self) -> u16 {
        u16::from(self.opt.code) << 4 | self.flags() & wire::CODE
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.age() < self.lifetime
    }

    /// The seconds that the response may still be kept.
    pub(crate) fn remaining(&self) -> u32 {
        self.lifetime.saturating_sub(self.age())
    }

    /// The end of the response's lifetime.
    pub(crate) fn until(&self) -> Instant {
        self.since + Duration::from_secs(self.lifetime.into())
    }

    /// Memory in bytes, about.
    pub(crate) fn size(&self) -> usize {
        let made = self.made.borrow().as_ref().map_or(0, |made| made.size());
        let octets = self.octets.len() + self.opt.errors.len() + made;
        size_of::<Self>() + octets + self.ttls.len() * size_of::<usize>()
    }

    /// The answer that was made of this response.
    pub(crate) fn made(&self) -> Option<Ref<'_, Made>> {
        Ref::filter_map(self.made.borrow(), Option::as_deref).ok()
    }

    /// Keeps the answer that was made of this response, unless it is large.
    pub(crate) fn keep(&self, made: Made) {
        *self.made.borrow_mut() = (!made.is_large()).then(|| Box::new(made));
    }

    /// The response for a client.
    pub(crate) fn answer(&self, request: &Request) -> Vec<u8> {
        let mut octets = self.aged();
        wire::set_word(&mut octets, 0, request.id);
        wire::set_word(&mut octets, 2, self.flags_for(request));
        // The same name, in the client's own upper and lower case.
        if let Some(name) =
            octets.get_mut(wire::HEADER..).and_then(|rest| rest.get_mut(..request.question.name.len()))
        {
            name.copy_from_slice(&request.question.name);
        }
        if let Some(edns) = request.edns {
            wire::push_opt(&mut octets, &self.opt, faith_dns64::MAX_PAYLOAD, edns.dnssec_ok);
        }
        octets
    }

    /// The response as a message; `None` if it has records that are malformed.
    pub(crate) fn message(&self) -> Option<Message> {
        let mut octets = self.aged();
        wire::push_opt(&mut octets, &self.opt, faith_dns64::MAX_PAYLOAD, false);
        Message::from_vec(&octets).ok()
    }

    /// The flags that a client gets: its own RD and CD, and AD only if it asked for that (RFC 6840 section 5.8).
    fn flags_for(&self, request: &Request) -> u16 {
        let own = wire::RECURSION_DESIRED | wire::CHECKING_DISABLED;
        let wants = request.flags & wire::AUTHENTIC != 0 || request.edns.is_some_and(|edns| edns.dnssec_ok);
        let hidden = if wants { 0 } else { wire::AUTHENTIC };
        self.flags() & !own & !hidden | request.flags & own
    }

    fn aged(&self) -> Vec<u8> {
        let mut octets = self.octets.clone();
        wire::age(&mut octets, &self.ttls, self.age());
        octets
    }

    /// Seconds since the response came.
    fn age(&self) -> u32 {
        u32::try_from(self.since.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

/// The answer of DNS64 to an AAAA query, kept beside the upstream's response to that query.
///
/// Making it reads two responses into records and writes a third. A popular name costs that once for each change of the
/// settings; whether the client may connect to the addresses is asked for each query.
#[derive(Debug)]
pub(crate) struct Made {
    /// The response, or `None` if the upstream's own passes.
    pub(crate) response: Option<Entry>,
    /// The name, in lower case and without the dot at its end.
    pub(crate) name: Box<str>,
    /// The addresses in it that were made. It is for clients that may connect to all of them.
    pub(crate) addresses: Vec<Ipv6Addr>,
    /// The records that it lacks because a prefix has no address for the server.
    pub(crate) unusable: usize,
    /// The end of the A response's lifetime.
    pub(crate) until: Instant,
    pub(crate) settings: Arc<Settings>,
    /// The prefixes, which may be fewer than those of the settings.
    pub(crate) prefixes: Vec<FaithPrefix>,
}

impl Made {
    /// Returns true if the same would be made now.
    pub(crate) fn holds(&self, settings: &Arc<Settings>, options: &Options) -> bool {
        Arc::ptr_eq(&self.settings, settings)
            && self.prefixes == options.prefixes
            && self.until > Instant::now()
            && self.response.as_ref().is_none_or(Entry::is_fresh)
    }

    /// Returns true if it takes too much memory.
    pub(crate) fn is_large(&self) -> bool {
        self.size() > LONGEST + self.name.len() + size_of::<Self>()
    }

    /// Memory in bytes, about.
    pub(crate) fn size(&self) -> usize {
        let response = self.response.as_ref().map_or(0, Entry::size);
        size_of::<Self>() + response + self.name.len() + size_of_val(self.addresses.as_slice())
    }
}

/// The seconds that a response may be kept: as long as each of its records. The absence of data may be kept for
/// as long as the zone's SOA record says (RFC 2308 section 5), and not at all without one. Errors are kept
/// with the failures of upstreams.
fn lifetime(octets: &[u8], places: &[wire::Place], opt: &Opt) -> u32 {
    let flags = wire::word(octets, 2).unwrap_or(0);
    if flags & wire::TRUNCATED != 0 {
        return 0;
    }
    let is_error = opt.code != 0 || !matches!(flags & wire::CODE, 0 | 3);
    if is_error {
        return 0;
    }
    let mut lifetime = MAX_TTL;
    let mut says = false;
    for place in places.iter().filter(|place| place.section != Section::Additional) {
        lifetime = lifetime.min(wire::ttl(octets, place.ttl));
        says |= place.section == Section::Answer;
        if place.section == Section::Authority && place.kind == wire::SOA {
            lifetime = lifetime.min(wire::minimum(octets, place)).min(MAX_ABSENCE);
            says = true;
        }
    }
    if says { lifetime } else { 0 }
}
