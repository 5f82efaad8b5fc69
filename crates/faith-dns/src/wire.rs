//! Messages as octets: those of an upstream pass to clients without being read as records and written again.
//!
//! Reading a record and writing it again may change or lose what it says, as with types that are newer
//! than the reader. So this module finds the few places that a forwarder changes (id, flags, the case
//! of the name, TTLs, the OPT record) and leaves every other octet alone.

use std::ops::Range;

/// The length of a message's header (RFC 1035 section 4.1.1).
pub(crate) const HEADER: usize = 12;

/// The length of an OPT record without options (RFC 6891 section 6.1.2).
const OPT_FIELDS: usize = 11;

/// The flags of a header's second word.
pub(crate) const RESPONSE: u16 = 0x8000;
pub(crate) const TRUNCATED: u16 = 0x0200;
pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
pub(crate) const AUTHENTIC: u16 = 0x0020;
pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
pub(crate) const OPCODE: u16 = 0x7800;
pub(crate) const CODE: u16 = 0x000f;

/// The codes of a response (RFC 1035 section 4.1.1).
pub(crate) const NO_ERROR: u16 = 0;
pub(crate) const SERVER_FAILURE: u16 = 2;
pub(crate) const NAME_ERROR: u16 = 3;

/// The class of the Internet.
pub(crate) const IN: u16 = 1;

pub(crate) const NS: u16 = 2;
pub(crate) const SOA: u16 = 6;
pub(crate) const OPT: u16 = 41;
const EXTENDED_ERROR: u16 = 15;
const PADDING: u16 = 12;
const DNSSEC_OK: u32 = 0x8000;

/// The 16 bits at `place`.
pub(crate) fn word(octets: &[u8], place: usize) -> Option<u16> {
    octets.get(place..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

fn long(octets: &[u8], place: usize) -> Option<u32> {
    octets.get(place..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

pub(crate) fn set_word(octets: &mut [u8], place: usize, value: u16) {
    if let Some(two) = octets.get_mut(place..).and_then(|rest| rest.first_chunk_mut()) {
        *two = value.to_be_bytes();
    }
}

/// A question of class IN, as a client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The name in wire form, uncompressed.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
}

impl Question {
    /// Reads the first question of a message, whose name cannot be compressed: nothing is before it.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let end = end_of_name(message, HEADER)?;
        let name = message.get(HEADER..end)?.to_vec();
        if name.len() > 255 || !is_plain(&name) {
            return None;
        }
        Some(Self { name, kind: word(message, end)?, class: word(message, end + 2)? })
    }

    /// Returns true if both ask the same. Names differ in case at most.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.class) == (other.kind, other.class) && self.name.eq_ignore_ascii_case(&other.name)
    }

    /// Returns true for each name below arpa, and for few others.
    pub(crate) fn ends_in_arpa(&self) -> bool {
        self.name.last_chunk::<6>().is_some_and(|end| end.eq_ignore_ascii_case(b"\x04arpa\0"))
    }

    pub(crate) fn write(&self, octets: &mut Vec<u8>) {
        octets.extend_from_slice(&self.name);
        octets.extend_from_slice(&self.kind.to_be_bytes());
        octets.extend_from_slice(&self.class.to_be_bytes());
    }
}

/// Returns true if `name` consists of labels and ends in the root.
fn is_plain(name: &[u8]) -> bool {
    let mut place = 0;
    while let Some(length) = name.get(place) {
        match usize::from(*length) {
            0 => return place + 1 == name.len(),
            length @ 1..=63 => place += length + 1,
            _ => return false,
        }
    }
    false
}

/// The place behind the name at `place`. A pointer ends a name.
fn end_of_name(message: &[u8], mut place: usize) -> Option<usize> {
    loop {
        match *message.get(place)? {
            0 => return Some(place + 1),
            length @ 1..=63 => place += 1 + usize::from(length),
            0xc0..=0xff => {
                word(message, place)?;
                return Some(place + 2);
            }
            // RFC 6891 section 5 retires the other two kinds of label.
            _ => return None,
        }
    }
}

/// The section of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// The places of a record.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) section: Section,
    pub(crate) start: usize,
    pub(crate) kind: u16,
    /// The place of the TTL.
    pub(crate) ttl: usize,
    pub(crate) data: Range<usize>,
}

/// The places of a message's records, in their order. `None` if the message has not exactly one question, or
/// ends too early. Removes octets behind the last record.
pub(crate) fn places(message: &mut Vec<u8>) -> Option<Vec<Place>> {
    let mut place = end_of_name(message, HEADER)? + 4;
    if word(message, 4)? != 1 || place > message.len() {
        return None;
    }
    let mut found = Vec::new();
    for (section, count) in [(Section::Answer, 6), (Section::Authority, 8), (Section::Additional, 10)] {
        for _ in 0..word(message, count)? {
            let start = place;
            let fields = end_of_name(message, place)?;
            let data = fields + 10;
            place = data + usize::from(word(message, fields + 8)?);
            if place > message.len() {
                return None;
            }
            found.push(Place {
                section,
                start,
                kind: word(message, fields)?,
                ttl: fields + 4,
                data: data..place,
            });
        }
    }
    message.truncate(place);
    Some(found)
}

/// The parts of an OPT record that concern a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opt {
    /// The upper eight bits of the response's code.
    pub(crate) code: u8,
    /// The options that carry extended errors (RFC 8914), in wire form.
    pub(crate) errors: Vec<u8>,
}

/// Removes the OPT record, which belongs to this hop alone, and what follows it: that is additional data,
/// which a client can do without.
pub(crate) fn take_opt(message: &mut Vec<u8>, places: &mut Vec<Place>) -> Opt {
    let Some(index) =
        places.iter().position(|place| place.section == Section::Additional && place.kind == OPT)
    else {
        return Opt::default();
    };
    let opt = read_opt(message, &places[index]);
    message.truncate(places[index].start);
    places.truncate(index);
    let left = places.iter().filter(|place| place.section == Section::Additional).count();
    set_word(message, 10, u16::try_from(left).unwrap_or(0));
    opt
}

fn read_opt(message: &[u8], place: &Place) -> Opt {
    let mut opt = Opt { code: message.get(place.ttl).copied().unwrap_or(0), errors: Vec::new() };
    let mut rest = message.get(place.data.clone()).unwrap_or_default();
    while let (Some(code), Some(length)) = (word(rest, 0), word(rest, 2)) {
        let Some((option, next)) = rest.split_at_checked(4 + usize::from(length)) else { break };
        if code == EXTENDED_ERROR {
            opt.errors.extend_from_slice(option);
        }
        rest = next;
    }
    opt
}

/// Appends an OPT record to a message that has none. A message without room for it stays as it is: TCP carries no more than
/// 65,535 octets.
pub(crate) fn push_opt(message: &mut Vec<u8>, opt: &Opt, payload: u16, dnssec_ok: bool) {
    if message.len() + OPT_FIELDS + opt.errors.len() > usize::from(u16::MAX) {
        return;
    }
    let Some(count) = word(message, 10) else { return };
    set_word(message, 10, count.saturating_add(1));
    let flags = u32::from(opt.code) << 24 | if dnssec_ok { DNSSEC_OK } else { 0 };
    message.push(0);
    message.extend_from_slice(&OPT.to_be_bytes());
    message.extend_from_slice(&payload.to_be_bytes());
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&u16::try_from(opt.errors.len()).unwrap_or(0).to_be_bytes());
    message.extend_from_slice(&opt.errors);
}

/// An extended error (RFC 8914) as an option of an OPT record.
pub(crate) fn extended_error(code: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(2 + text.len()).unwrap_or(2);
    [EXTENDED_ERROR, length, code]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .chain(text.bytes().take(usize::from(length - 2)))
        .collect()
}

/// Appends padding to the OPT record at the end of a message, so that its length is a multiple of `block` (RFC 7830).
/// A message without such a record, or without room, stays as it is.
pub(crate) fn pad(message: &mut Vec<u8>, block: usize) {
    let Some(last) = places(message).and_then(|mut places| places.pop()) else { return };
    let padded = (message.len() + 4).next_multiple_of(block);
    if last.section != Section::Additional || last.kind != OPT || padded > usize::from(u16::MAX) {
        return;
    }
    let padding = padded - message.len() - 4;
    let length = last.data.len() + 4 + padding;
    // Both fit: the message as a whole does.
    let [padding, length] = [padding, length].map(|value| u16::try_from(value).unwrap_or(0));
    set_word(message, last.data.start - 2, length);
    message.extend_from_slice(&PADDING.to_be_bytes());
    message.extend_from_slice(&padding.to_be_bytes());
    message.resize(padded, 0);
}

/// The TTL of a record.
pub(crate) fn ttl(message: &[u8], place: usize) -> u32 {
    // RFC 2181 section 8: a TTL whose highest bit is set counts as 0.
    long(message, place).filter(|ttl| *ttl <= i32::MAX.cast_unsigned()).unwrap_or(0)
}

/// The last field of a SOA record: the seconds that an absence may be kept (RFC 2308 section 4).
pub(crate) fn minimum(message: &[u8], place: &Place) -> u32 {
    place.data.end.checked_sub(4).map_or(0, |field| ttl(message, field))
}

/// Limits the TTLs at these places.
pub(crate) fn limit(message: &mut [u8], ttls: &[usize], most: u32) {
    for place in ttls {
        set_ttl(message, *place, ttl(message, *place).min(most));
    }
}

/// Counts the TTLs at these places down.
pub(crate) fn age(message: &mut [u8], ttls: &[usize], seconds: u32) {
    for place in ttls {
        set_ttl(message, *place, ttl(message, *place).saturating_sub(seconds));
    }
}

fn set_ttl(message: &mut [u8], place: usize, seconds: u32) {
    if let Some(four) = message.get_mut(place..).and_then(|rest| rest.first_chunk_mut()) {
        *four = seconds.to_be_bytes();
    }
}

#[cfg(test)]
mod tests;
