//! Which IPv4 destinations may be relayed to.
//!
//! A relay that connects wherever a client asks is a way around every firewall that trusts the
//! router, so policy starts from "public addresses only". Rules are tried in order, and the first
//! that matches decides; an empty list permits, and a list in which nothing matches denies. Two
//! things stand above a broad `permit`:
//!
//! * **Special-purpose blocks and the router's own addresses.** A permit rule wider than the block
//!   does not match inside it: `permit 0.0.0.0/0` was not written with 169.254.169.254 in mind. A
//!   rule for the block or a part of it names it on purpose, and opens it. An address of the router
//!   counts as a block of its own, which only a `/32` opens.
//! * **Loopback.** 127.0.0.0/8, and 0.0.0.0, by which Linux's connect(2) means the loopback too,
//!   are denied whatever the rules say, unless the policy allows loopback. Then they are ordinary
//!   addresses under the rules.

mod prefix;
mod special;

use std::cell::LazyCell;
use std::net::Ipv4Addr;

pub use prefix::{Ipv4Prefix, Ipv4PrefixError};

/// One line of an access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Whether a match permits or denies.
    pub permit: bool,
    /// The destinations it matches.
    pub destination: Ipv4Prefix,
}

/// Whether a destination may be relayed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It may.
    Permit,
    /// It may not.
    Deny(DenyReason),
}

/// Why a destination may not be relayed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// A deny rule matched.
    Rule,
    /// No rule of a list matched.
    NoMatch,
    /// The address is in a special-purpose block that no rule opens.
    SpecialPurpose,
    /// The address is one of the router's own and no rule opens it.
    OwnAddress,
    /// The address leads to the router's loopback, and the policy does not allow that.
    Loopback,
}

impl DenyReason {
    /// The reason's name in statistics and logs, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::NoMatch => "no-match",
            Self::SpecialPurpose => "special-purpose",
            Self::OwnAddress => "own-address",
            Self::Loopback => "loopback",
        }
    }
}

/// An access list and its defaults.
///
/// ```
/// use faith_packet::policy::{Decision, DenyReason, Policy, Rule};
/// let everything = Rule { permit: true, destination: "0.0.0.0/0".parse()? };
/// let policy = Policy::new(vec![everything], false);
/// let decide = |address: &str| policy.decide(address.parse().unwrap(), || false);
/// assert_eq!(decide("1.1.1.1"), Decision::Permit);
/// assert_eq!(decide("169.254.169.254"), Decision::Deny(DenyReason::SpecialPurpose));
/// # Ok::<(), faith_packet::policy::Ipv4PrefixError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    allow_loopback: bool,
}

impl Policy {
    /// A policy of these rules, tried in this order.
    #[must_use]
    pub fn new(rules: Vec<Rule>, allow_loopback: bool) -> Self {
        Self { rules, allow_loopback }
    }

    /// Whether `destination` may be relayed to. `is_own` says whether it is one of the router's own
    /// addresses; it is called at most once, and only when the answer depends on it.
    #[must_use]
    pub fn decide(&self, destination: Ipv4Addr, is_own: impl FnOnce() -> bool) -> Decision {
        let loopback = destination.is_loopback() || destination.is_unspecified();
        if loopback && !self.allow_loopback {
            return Decision::Deny(DenyReason::Loopback);
        }
        let block = if loopback { None } else { special::block_of(destination) };
        let is_own = LazyCell::new(|| !loopback && is_own());

        for rule in self.rules.iter().filter(|rule| rule.destination.contains(destination)) {
            if !rule.permit {
                return Decision::Deny(DenyReason::Rule);
            }
            let length = rule.destination.length();
            let names_block = block.is_none_or(|block| length >= block.length());
            if names_block && (length == 32 || !*is_own) {
                return Decision::Permit;
            }
        }

        if *is_own {
            Decision::Deny(DenyReason::OwnAddress)
        } else if block.is_some() {
            Decision::Deny(DenyReason::SpecialPurpose)
        } else if self.rules.is_empty() {
            Decision::Permit
        } else {
            Decision::Deny(DenyReason::NoMatch)
        }
    }
}

#[cfg(test)]
mod tests;
