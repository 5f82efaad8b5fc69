//! A decoder of IPFIX for tests. It follows RFC 7011 alone, and learns templates from the messages.

use std::collections::HashMap;

/// A decoded message.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) export_time: u32,
    pub(crate) sequence: u32,
    pub(crate) domain: u32,
    /// Templates in the message.
    pub(crate) templates: usize,
    pub(crate) records: Vec<Record>,
}

/// The values of a record by the identifiers of their elements, in network byte order.
#[derive(Debug)]
pub(crate) struct Record(HashMap<u16, Vec<u8>>);

/// A collector's templates.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    templates: HashMap<u16, Vec<(u16, usize)>>,
}

impl Record {
    /// The value of an element as a number.
    pub(crate) fn number(&self, element: u16) -> Option<u128> {
        let octets = self.0.get(&element)?;
        Some(octets.iter().fold(0, |number, octet| number << 8 | u128::from(*octet)))
    }

    /// The identifiers of its elements.
    pub(crate) fn elements(&self) -> Vec<u16> {
        let mut elements: Vec<u16> = self.0.keys().copied().collect();
        elements.sort_unstable();
        elements
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }
}

impl Decoder {
    /// Decodes a message. Panics if it is malformed, or needs a template that no message had.
    pub(crate) fn decode(&mut self, message: &[u8]) -> Decoded {
        let mut reader = Reader(message);
        assert_eq!(reader.u16(), 10, "the version");
        assert_eq!(usize::from(reader.u16()), message.len(), "the length");
        let (export_time, sequence, domain) = (reader.u32(), reader.u32(), reader.u32());
        let mut decoded = Decoded { export_time, sequence, domain, templates: 0, records: Vec::new() };
        while !reader.0.is_empty() {
            let id = reader.u16();
            let length = usize::from(reader.u16());
            let mut set = Reader(reader.take(length - 4));
            match id {
                2 => decoded.templates += self.learn(&mut set),
                256.. => self.read(id, &mut set, &mut decoded.records),
                _ => panic!("no other set is expected: {id}"),
            }
        }
        decoded
    }

    fn learn(&mut self, set: &mut Reader<'_>) -> usize {
        let mut count = 0;
        while !set.0.is_empty() {
            let (id, fields) = (set.u16(), set.u16());
            let fields = (0..fields).map(|_| (set.u16(), usize::from(set.u16()))).collect();
            let known = self.templates.insert(id, fields);
            assert!(known.is_none_or(|known| known == self.templates[&id]), "{id} has another meaning");
            count += 1;
        }
        count
    }

    fn read(&self, id: u16, set: &mut Reader<'_>, records: &mut Vec<Record>) {
        let template = &self.templates[&id];
        while !set.0.is_empty() {
            let values = template.iter().map(|(element, length)| (*element, set.take(*length).to_vec()));
            records.push(Record(values.collect()));
        }
    }
}
