//! Responses to AAAA queries that were made of cached ones, kept beside the cached AAAA response.
//!
//! Making a response reads two others into records and writes a third. A popular name costs that once for each
//! change of the settings; whether the client may connect to the addresses is asked for each query.

use std::net::Ipv6Addr;
use std::sync::Arc;

use faith_dns64::Options;
use faith_packet::prefix::FaithPrefix;
use tokio::time::Instant;

use crate::entry::Entry;
use crate::settings::Settings;

/// The longest response that is kept: a longer one does not fit into a datagram.
const LONGEST: usize = faith_dns64::MAX_PAYLOAD as usize;

/// The answer of DNS64 to an AAAA query.
#[derive(Debug)]
pub(crate) struct Made {
    /// The response, or `None` if the upstream's own passes.
    pub(crate) response: Option<Entry>,
    /// The name, in lower case and without the dot at its end.
    pub(crate) name: Box<str>,
    /// The addresses in it that were made. It is for clients that may connect to all of them.
    pub(crate) addresses: Vec<Ipv6Addr>,
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
