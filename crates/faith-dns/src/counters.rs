//! Counters, which only grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters and their snapshot.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a server.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// The values of the counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn stats(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Queries over UDP.
    udp_queries,
    /// Queries over TCP.
    tcp_queries,
    /// Queries over TLS.
    tls_queries,
    /// Messages that were dropped because they are no queries.
    dropped,
    /// Queries that were answered with FORMERR, NOTIMP or BADVERS, or with REFUSED for their type or class.
    rejected,
    /// Queries of clients outside the networks that get answers.
    refused,
    /// Datagrams over a client's rate: not answered, or with a truncated response.
    rate_limited,
    /// Queries that were refused because too many waited for an upstream, and connections closed because too many
    /// were open.
    overloaded,
    /// Responses whose records were synthesised.
    synthesised,
    /// AAAA records that were not made because no relay would let the client connect.
    denied,
    /// AAAA records that were not made because a prefix has no address for the server: a special-use one in the well-known
    /// prefix, or one whose address means another server.
    unusable,
    /// Responses made without an upstream: ipv4only.arpa.
    local,
    /// Responses that the program gave.
    own,
    /// Queries that the program failed to answer.
    own_failures,
    /// Responses out of the cache.
    cached,
    /// Responses that left the cache before their TTLs were over, because it was full.
    cache_evictions,
    /// Responses that were truncated because they did not fit into a datagram.
    truncated,
    /// Queries to upstreams.
    upstream_queries,
    /// Queries that no upstream answered.
    upstream_failures,
    /// Queries that an upstream put back to this server.
    loops,
}

/// One counter. Only the server's thread adds to it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_all(&self, count: usize) {
        self.0.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
