//! The rule that denied a connection.

use std::fmt;
use std::sync::Arc;

use faith_packet::access::{AccessList, WrittenRule};

/// The rule of an access list that denied a connection: its place, and the list as it was then.
#[derive(Clone)]
pub struct DenyingRule {
    list: Arc<AccessList>,
    place: usize,
}

impl DenyingRule {
    pub(crate) fn new(list: Arc<AccessList>, place: usize) -> Self {
        Self { list, place }
    }

    /// The rule as text, with its file and line.
    #[must_use]
    pub fn written(&self) -> Option<WrittenRule> {
        self.list.written(self.place)
    }
}

impl fmt::Debug for DenyingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written().fmt(f)
    }
}

impl PartialEq for DenyingRule {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for DenyingRule {}
