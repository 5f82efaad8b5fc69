//! Statements about the response to any query, for any responses of an upstream.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use faith_dns64::{MAX_ADDRESSES, Options, Plan, plan, reverse, synthesise, wants_a};
use faith_packet::prefix::FaithPrefix;
use faith_packet::rfc6052::extract;
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};

/// Options with a prefix of each kind.
pub(crate) fn options() -> Option<Options> {
    let prefixes: Result<Vec<FaithPrefix>, _> = ["64:ff9b::/96", "2001:db8:64::/64", "2001:db8:32::/48"]
        .iter()
        .map(|prefix| prefix.parse())
        .collect();
    Some(Options { prefixes: prefixes.ok()?, ..Options::default() })
}

/// Makes the response to `query` in every way, and checks it.
pub(crate) fn check(query: &Message, aaaa: &Message, a: &Message, options: &Options) {
    if let Plan::Answer(response) = plan(query, options) {
        assert_response(query, &response);
        assert!(response.answers.len() <= 2 * options.prefixes.len());
    }
    assert_response(query, &reverse(query, aaaa, options));

    let wanted = wants_a(query, aaaa, options);
    assert!(!wanted || plan(query, options) == Plan::Synthesise);
    for a in [None, Some(a)] {
        let Cow::Owned(made) = synthesise(query, aaaa, a, options, |_| true).response else { continue };
        assert_response(query, &made);
        assert!(!made.authentic_data);
        let given: Vec<&Record> = aaaa.answers.iter().chain(a.iter().flat_map(|a| &a.answers)).collect();
        assert!(made.answers.len() <= given.len().max(aaaa.answers.len() + MAX_ADDRESSES));
        for record in &made.answers {
            let RData::AAAA(address) = &record.data else { continue };
            let excluded = options.exclude.iter().any(|prefix| prefix.contains(address.0));
            assert!(!excluded, "{record}");
            assert!(given.contains(&record) || is_made_of(address.0, &given, options), "{record}");
        }
        let denied = synthesise(query, aaaa, a, options, |_| false);
        for record in denied.response.answers.iter().filter(|record| matches!(record.data, RData::AAAA(_))) {
            assert!(aaaa.answers.contains(record), "{record}");
        }
    }
}

fn assert_response(query: &Message, response: &Message) {
    assert_eq!(response.id, query.id);
    assert_eq!(response.queries, query.queries);
    assert_eq!(response.edns.is_some(), query.edns.is_some());
    assert_eq!(response.recursion_desired, query.recursion_desired);
}

fn is_made_of(address: Ipv6Addr, given: &[&Record], options: &Options) -> bool {
    options
        .prefixes
        .iter()
        .filter_map(|prefix| extract(prefix, address))
        .any(|server| given.iter().any(|record| matches!(&record.data, RData::A(given) if given.0 == server)))
}
