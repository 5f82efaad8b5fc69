//! The formatted entries of a turn, and how far they are written.

/// Entries as bytes, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// The end of each entry.
    ends: Vec<usize>,
    /// Entries that are written.
    done: usize,
    /// Bytes of the next entry that are written.
    within: usize,
}

impl Batch {
    /// Adds an entry, which `add` appends to the bytes.
    pub(crate) fn push(&mut self, add: impl FnOnce(&mut Vec<u8>)) {
        add(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// The number of bytes, written ones too.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_written(&self) -> bool {
        self.done == self.ends.len()
    }

    /// The bytes that are not yet written.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.start() + self.within..).unwrap_or_default()
    }

    /// The entries that are not yet written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = self.start();
        self.ends.iter().skip(self.done).map(move |&end| {
            let entry = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            entry
        })
    }

    /// Counts bytes as written.
    pub(crate) fn wrote_bytes(&mut self, count: usize) {
        let position = self.start() + self.within + count;
        while self.ends.get(self.done).is_some_and(|end| *end <= position) {
            self.done += 1;
        }
        self.within = position - self.start();
    }

    /// Counts entries as written.
    pub(crate) fn wrote_entries(&mut self, count: usize) {
        self.done += count;
    }

    /// Has the entry that is written in part be written as a whole, because the rest goes elsewhere.
    pub(crate) fn restart_entry(&mut self) {
        self.within = 0;
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.done = 0;
        self.within = 0;
    }

    fn start(&self) -> usize {
        self.done.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(entries: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for entry in entries {
            batch.push(|bytes| bytes.extend_from_slice(entry.as_bytes()));
        }
        batch
    }

    #[test]
    fn bytes_count_the_entries_that_are_whole() {
        let mut batch = batch(&["one\n", "two\n", "three\n"]);
        batch.wrote_bytes(6);
        assert_eq!(batch.rest(), b"o\nthree\n");
        batch.restart_entry();
        assert_eq!(batch.rest(), b"two\nthree\n");
        batch.wrote_bytes(4);
        assert_eq!(batch.rest(), b"three\n");
        assert!(!batch.is_written());
        batch.wrote_bytes(6);
        assert!(batch.is_written() && batch.rest().is_empty());
    }

    #[test]
    fn entries_are_taken_one_by_one() {
        let mut batch = batch(&["one", "", "three"]);
        assert_eq!(batch.entries().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        batch.wrote_entries(2);
        assert_eq!(batch.entries().collect::<Vec<_>>(), [b"three"]);
        batch.clear();
        assert!(batch.is_written() && batch.len() == 0);
    }
}
