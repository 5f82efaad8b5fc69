//! Messages of IPFIX (RFC 7011 section 3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::event::Event;
use super::template::{self, Template};

/// The most octets of a message: every link of IPv6 carries packets of 1,280 octets, less the headers of IPv6 and UDP
/// (RFC 7011 section 10.3.3).
pub(crate) const MOST: usize = 1280 - 40 - 8;

const VERSION: u16 = 10;
const HEADER: usize = 16;
const SET_HEADER: usize = 4;
const TEMPLATE_SET: u16 = 2;

/// Writes the messages of one observation domain of one transport session.
#[derive(Debug)]
pub(crate) struct Encoder {
    domain: u32,
    /// Records in all messages before the present one, modulo 2³².
    sequence: u32,
    /// The present message. Its header is written when it is complete.
    message: Vec<u8>,
    /// Records in the present message.
    records: u32,
    /// The identifier and the place of the last set.
    set: Option<(u16, usize)>,
}

impl Encoder {
    pub(crate) fn new(domain: u32) -> Self {
        let message = Vec::with_capacity(MOST);
        let mut encoder = Self { domain, sequence: 0, message, records: 0, set: None };
        encoder.begin();
        encoder
    }

    /// Begins another message, and returns the number of records in the one before.
    pub(crate) fn begin(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(self.records);
        self.message.clear();
        self.message.resize(HEADER, 0);
        self.set = None;
        std::mem::take(&mut self.records)
    }

    /// Tells whether the present message has neither templates nor records.
    pub(crate) fn is_empty(&self) -> bool {
        self.message.len() == HEADER
    }

    /// Adds all templates to an empty message, where they fit.
    pub(crate) fn add_templates(&mut self) {
        self.open_set(TEMPLATE_SET);
        for Template { id, elements } in template::ALL {
            let count = u16::try_from(elements.len()).unwrap_or(u16::MAX);
            for number in [*id, count] {
                self.message.extend(number.to_be_bytes());
            }
            for element in *elements {
                for number in [element.id, element.length] {
                    self.message.extend(number.to_be_bytes());
                }
            }
        }
        self.close_set();
    }

    /// Adds the record of an event. Returns false, and adds nothing, if the message has no room.
    pub(crate) fn add(&mut self, event: &Event, destinations: bool) -> bool {
        let id = event.template(destinations).id;
        let before = (self.message.len(), self.set);
        if self.set.is_none_or(|(last, _)| last != id) {
            self.open_set(id);
        }
        event.write(destinations, &mut self.message);
        if self.message.len() > MOST {
            self.message.truncate(before.0);
            self.set = before.1;
            return false;
        }
        self.close_set();
        self.records += 1;
        true
    }

    /// Completes the message.
    pub(crate) fn finish(&mut self, now: SystemTime) -> &[u8] {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // The export time has 32 bits, so it begins again in 2106.
        let [.., a, b, c, d] = since.as_secs().to_be_bytes();
        let length = u16::try_from(self.message.len()).unwrap_or(u16::MAX);
        let mut header = Vec::with_capacity(HEADER);
        header.extend(VERSION.to_be_bytes());
        header.extend(length.to_be_bytes());
        header.extend([a, b, c, d]);
        header.extend(self.sequence.to_be_bytes());
        header.extend(self.domain.to_be_bytes());
        self.message.splice(..HEADER, header);
        &self.message
    }

    #[cfg(test)]
    pub(crate) fn set_sequence(&mut self, sequence: u32) {
        self.sequence = sequence;
    }

    fn open_set(&mut self, id: u16) {
        self.set = Some((id, self.message.len()));
        self.message.extend(id.to_be_bytes());
        self.message.resize(self.message.len() + SET_HEADER - 2, 0);
    }

    /// Writes the length of the last set, which may grow further.
    fn close_set(&mut self) {
        let Some((_, place)) = self.set else { return };
        let length = u16::try_from(self.message.len() - place).unwrap_or(u16::MAX);
        if let Some(field) = self.message.get_mut(place + 2..place + SET_HEADER) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}
