//! The counters, upstreams and faults of the DNS server, as JavaScript reads them.

use faith_dns::{Condition, Fault, Stats, UpstreamState};
use napi_derive::napi;

use crate::stats::number;

/// The counters of a server.
#[napi(object)]
pub struct NativeDns64Stats {
    /// Queries over UDP.
    pub udp_queries: f64,
    /// Queries over TCP.
    pub tcp_queries: f64,
    /// Queries over TLS.
    pub tls_queries: f64,
    /// Messages that are no queries.
    pub dropped: f64,
    /// Queries answered with FORMERR, NOTIMP or BADVERS, or with REFUSED for their type or class.
    pub rejected: f64,
    /// Queries of clients outside the networks that get answers.
    pub refused: f64,
    /// Datagrams over a client's rate.
    pub rate_limited: f64,
    /// Queries and connections refused because there were too many.
    pub overloaded: f64,
    /// Responses with synthesised records.
    pub synthesised: f64,
    /// AAAA records that were not made because no relay would let the client connect.
    pub denied: f64,
    /// AAAA records that were not made because a prefix has no address for the server.
    pub unusable: f64,
    /// Responses made without an upstream.
    pub local: f64,
    /// Responses that JavaScript gave.
    pub own: f64,
    /// Queries that JavaScript failed to answer.
    pub own_failures: f64,
    /// Responses out of the cache.
    pub cached: f64,
    /// Responses that left the cache early because it was full.
    pub cache_evictions: f64,
    /// Responses that did not fit into a datagram.
    pub truncated: f64,
    /// Queries to upstreams.
    pub upstream_queries: f64,
    /// Queries that no upstream answered.
    pub upstream_failures: f64,
    /// Queries that an upstream put back to this server.
    pub loops: f64,
}

impl From<Stats> for NativeDns64Stats {
    fn from(stats: Stats) -> Self {
        Self {
            udp_queries: number(stats.udp_queries),
            tcp_queries: number(stats.tcp_queries),
            tls_queries: number(stats.tls_queries),
            dropped: number(stats.dropped),
            rejected: number(stats.rejected),
            refused: number(stats.refused),
            rate_limited: number(stats.rate_limited),
            overloaded: number(stats.overloaded),
            synthesised: number(stats.synthesised),
            denied: number(stats.denied),
            unusable: number(stats.unusable),
            local: number(stats.local),
            own: number(stats.own),
            own_failures: number(stats.own_failures),
            cached: number(stats.cached),
            cache_evictions: number(stats.cache_evictions),
            truncated: number(stats.truncated),
            upstream_queries: number(stats.upstream_queries),
            upstream_failures: number(stats.upstream_failures),
            loops: number(stats.loops),
        }
    }
}

/// An upstream at one moment.
#[napi(object)]
pub struct NativeDns64Upstream {
    /// The upstream, as `192.0.2.53:53` or as the options name it.
    pub upstream: String,
    /// Queries to it.
    pub queries: f64,
    /// Queries that it answered.
    pub answered: f64,
    /// Queries to which it gave no response in time.
    pub unanswered: f64,
    /// Queries that it put back to this server.
    pub loops: f64,
    /// `good`, `failing`, `loop` or `own`.
    pub condition: String,
    /// The reason why it is failing; absent otherwise.
    pub trouble: Option<String>,
}

impl From<UpstreamState> for NativeDns64Upstream {
    fn from(state: UpstreamState) -> Self {
        let (condition, trouble) = match state.condition {
            Condition::Good => ("good", None),
            Condition::Failing(trouble) => ("failing", Some(trouble)),
            Condition::Loop => ("loop", None),
            Condition::Own => ("own", None),
        };
        Self {
            upstream: state.upstream,
            queries: number(state.queries),
            answered: number(state.answered),
            unanswered: number(state.unanswered),
            loops: number(state.loops),
            condition: condition.to_owned(),
            trouble,
        }
    }
}

/// A fault that the operator can mend.
#[napi(object)]
pub struct NativeDns64Fault {
    /// `client-refused`, `upstream-own`, `upstream-loop` or `upstream`.
    pub code: String,
    /// The client, as `2001:db8::1`, or the upstream, as `[::1]:53` or as the options name it.
    pub address: String,
    /// The reason why an upstream cannot be asked; absent when it answers again.
    pub trouble: Option<String>,
}

impl From<Fault> for NativeDns64Fault {
    fn from(fault: Fault) -> Self {
        let (code, address, trouble) = match fault {
            Fault::Refused(client) => ("client-refused", client.to_string(), None),
            Fault::OwnUpstream(upstream) => ("upstream-own", upstream.to_string(), None),
            Fault::Loop(upstream) => ("upstream-loop", upstream, None),
            Fault::Upstream { upstream, trouble } => ("upstream", upstream, trouble),
        };
        Self { code: code.to_owned(), address, trouble }
    }
}
