//! The access list decides which client may be relayed to which IPv4 destination.
//!
//! The grammar is that of BSD's faithd(8): one rule per line, `#` before a comment:
//!
//! ```text
//! SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]
//!
//! 2001:db8:1::/48  deny    0.0.0.0/0        port 25
//! 2001:db8:1::/48  permit  198.51.100.0/24  port 80,443,8000-8999  192.0.2.1
//! ::/0             permit  0.0.0.0/0        udp port 53,123
//! ::/0             permit  0.0.0.0/0        tcp
//! ```
//!
//! SOURCE is the clients' IPv6 prefix, DESTINATION an IPv4 prefix; either may be a lone address.
//! `tcp` and `udp` are extensions: a rule without either matches every protocol. `port` is an extension, with a list as [`PortSet`](crate::ports::PortSet) reads it. OUTGOING is
//! the router's IPv4 address from which the relay connects. The first rule that matches decides. An
//! empty list permits; a list in which no rule matches denies. BSD's faithd skipped lines that it
//! could not read, and took any action other than `permit` for `deny`. Here every such line is an
//! error, and the whole list is refused.
//!
//! The comment `#line 1 "FILE"`, as preprocessors write it, says that the next line is the first one of FILE. A list of
//! several files names the file of each rule by it.
//!
//! A relay that connects to every address a client asks for is a way around every firewall that
//! trusts the router. Therefore a broad `permit` means public addresses, with two exceptions:
//!
//! * **Special-purpose blocks and the router's own addresses.** A permit rule wider than the block
//!   does not match inside it: the author of `permit 0.0.0.0/0` did not think of 169.254.169.254. A
//!   rule for the block or a part of it names it on purpose, and opens it. An address of the router
//!   counts as a block of its own, which only a `/32` opens.
//! * **Loopback.** 127.0.0.0/8 and 0.0.0.0 (which Linux's connect(2) takes for loopback) are denied
//!   by any list that does not allow loopback, even if a rule permits them. In a list that allows
//!   loopback they are ordinary addresses under the rules.
//!
//! Both exceptions hold for a server that a program names as well ([`Basis::Named`]): a program that
//! passes on an address chosen by a client must not lead that client to the router. Such a server may
//! have an IPv6 address. No rule names one, so special-purpose blocks and the router's own addresses
//! stay closed; ::1 and :: (which Linux connects to it) are loopback. An address that stands for an
//! IPv4 one (64:ff9b::/96, 2002::/16) is judged by that one too.

mod index;
mod parse;
mod rule;
mod segments;
mod special;
mod vain;

use std::cell::LazyCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

use index::Index;
use parse::{Lines, parse_lines};

use crate::protocol::Protocol;

pub use parse::{AccessListErrors, LineError, parse};
pub use rule::{Action, Rule, RuleError};

/// The decision to relay a connection or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The connection may be relayed.
    Permit {
        /// The router's address from which the relay connects; `None` leaves it to the routing table.
        outgoing: Option<Ipv4Addr>,
    },
    /// The connection may not be relayed.
    Deny(DenyReason),
}

/// The way the server of a connection was chosen, which decides which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The client dialled an address that means the server: every rule applies.
    Dialled,
    /// A program named the server: deny rules do not apply. Special-purpose blocks, the router's own
    /// addresses and loopback remain closed, unless a permit rule opens them to the client.
    Named,
    /// The client dialled an address that this host serves on purpose, by a program or by its own
    /// listeners: every rule applies, as to a public address.
    Local,
}

/// A decision, and the rule that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The decision.
    pub decision: Decision,
    /// The place of the rule that decided, for [`AccessList::written`]; `None` if a default decided.
    pub rule: Option<usize>,
}

/// A rule as text, with its line number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRule {
    /// The rule, in the grammar.
    pub text: String,
    /// Its line, counted from 1; `None` in a list that was not read from text.
    pub line: Option<usize>,
    /// The file of that line, if a `#line` comment names it.
    pub file: Option<Arc<str>>,
}

/// The reason a connection may not be relayed.
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
    /// The address leads to the router's loopback, and the list does not allow that.
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
/// A decision takes a few binary searches, for any number of rules. Memory grows in proportion to the
/// number of rules.
///
/// ```
/// use faith_packet::access::{AccessList, Decision, DenyReason};
/// let list = AccessList::parse("2001:db8::/32 permit 0.0.0.0/0 port 443\n", "faithd.conf")?;
/// let client = "2001:db8::1".parse().unwrap();
/// let decide = |server: &str| list.decide(client, server.parse().unwrap(), || false);
/// assert_eq!(decide("1.1.1.1:443"), Decision::Permit { outgoing: None });
/// assert_eq!(decide("1.1.1.1:25"), Decision::Deny(DenyReason::NoMatch));
/// assert_eq!(decide("169.254.169.254:443"), Decision::Deny(DenyReason::SpecialPurpose));
/// # Ok::<(), faith_packet::access::AccessListErrors>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    rules: Vec<Rule>,
    /// The line of each rule; empty if the list was not read from text.
    lines: Vec<usize>,
    /// The place of the first rule of each file, and the file.
    files: Vec<(usize, Arc<str>)>,
    index: Indexes,
    allow_loopback: bool,
}

impl AccessList {
    /// A list of these rules, tried in this order. It does not allow loopback.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            index: Indexes::new(&rules),
            rules,
            lines: Vec::new(),
            files: Vec::new(),
            allow_loopback: false,
        }
    }

    /// Reads a list from text, and remembers the line of each rule. `name` names the list in errors.
    ///
    /// # Errors
    ///
    /// [`AccessListErrors`] with the malformed lines.
    pub fn parse(text: &str, name: &str) -> Result<Self, AccessListErrors> {
        let Lines { rules, files } = parse_lines(text, name)?;
        let (lines, rules) = rules.into_iter().unzip();
        Ok(Self { lines, files, ..Self::new(rules) })
    }

    /// Allows loopback or not. If allowed, the rules decide about loopback addresses too.
    #[must_use]
    pub fn with_loopback(self, allow: bool) -> Self {
        Self { allow_loopback: allow, ..self }
    }

    /// The rule at this place.
    #[must_use]
    pub fn written(&self, place: usize) -> Option<WrittenRule> {
        let text = self.rules.get(place)?.to_string();
        let after = self.files.partition_point(|(first, _)| *first <= place);
        let file =
            after.checked_sub(1).and_then(|last| self.files.get(last)).map(|(_, file)| Arc::clone(file));
        Some(WrittenRule { text, line: self.lines.get(place).copied(), file })
    }

    /// The rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Decides as [`judge`](Self::judge) does about TCP on the basis [`Basis::Dialled`]: `destination` is the server that the
    /// address dialled by `client` means. `is_own` returns true if the server's address is one of the router's own; it is
    /// called at most once, and only if the decision depends on it.
    #[must_use]
    pub fn decide(
        &self,
        client: Ipv6Addr,
        destination: SocketAddrV4,
        is_own: impl FnOnce() -> bool,
    ) -> Decision {
        self.judge_ipv4(Protocol::Tcp, Basis::Dialled, client, destination, is_own).decision
    }

    /// Judges whether `client` may be relayed to `server` by `protocol`, chosen on this basis. `is_own` returns true if an address is
    /// one of the router's own; it is called only if the decision depends on it, at most once for each address.
    #[must_use]
    pub fn judge(
        &self,
        protocol: Protocol,
        basis: Basis,
        client: Ipv6Addr,
        server: SocketAddr,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Judgement {
        match server {
            SocketAddr::V4(server) => {
                self.judge_ipv4(protocol, basis, client, server, || is_own((*server.ip()).into()))
            }
            SocketAddr::V6(server) => self.judge_ipv6(protocol, basis, client, server, is_own),
        }
    }

    /// Tells whether `client` may be relayed by `protocol` to some port of the server at `address`, chosen on this
    /// basis: whether [`judge`](Self::judge) permits one of the ports 1 to 65535, or an echo request.
    ///
    /// It judges one port of each range that the rules for the two addresses tell apart: a single one unless such
    /// rules have ports.
    #[must_use]
    pub fn permits_any_port(
        &self,
        protocol: Protocol,
        basis: Basis,
        client: Ipv6Addr,
        address: Ipv4Addr,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> bool {
        let is_own = LazyCell::new(|| is_own(address.into()));
        let permits = |port| {
            let server = SocketAddrV4::new(address, port);
            let judgement = self.judge_ipv4(protocol, basis, client, server, || *is_own);
            matches!(judgement.decision, Decision::Permit { .. })
        };
        // An echo request has no port, and is judged with port 0. No connection goes there.
        if protocol == Protocol::Icmp {
            return permits(0);
        }
        let mut kinds = self.index.of(protocol).kinds_of_ports(client, address).filter(|port| *port != 0);
        permits(u16::MAX) || kinds.any(permits)
    }

    /// Judges a server that no rule can name.
    fn judge_ipv6(
        &self,
        protocol: Protocol,
        basis: Basis,
        client: Ipv6Addr,
        server: SocketAddrV6,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Judgement {
        let address = *server.ip();
        let default = |decision| Judgement { decision, rule: None };
        if address.is_loopback() || address.is_unspecified() {
            if !self.allow_loopback {
                return default(Decision::Deny(DenyReason::Loopback));
            }
        } else if is_own(address.into()) {
            return default(Decision::Deny(DenyReason::OwnAddress));
        } else if special::is_special(address) {
            return default(Decision::Deny(DenyReason::SpecialPurpose));
        } else if let Some(inner) = special::inner_ipv4(address) {
            let inner = SocketAddrV4::new(inner, server.port());
            let own = || is_own((*inner.ip()).into());
            let judgement = self.judge_ipv4(protocol, basis, client, inner, own);
            return match judgement.decision {
                // Drops the rule's outgoing address, which is an IPv4 one.
                Decision::Permit { .. } => {
                    Judgement { decision: Decision::Permit { outgoing: None }, ..judgement }
                }
                Decision::Deny(_) => judgement,
            };
        }
        default(match basis {
            Basis::Dialled | Basis::Local if !self.rules.is_empty() => Decision::Deny(DenyReason::NoMatch),
            Basis::Dialled | Basis::Local | Basis::Named => Decision::Permit { outgoing: None },
        })
    }

    fn judge_ipv4(
        &self,
        protocol: Protocol,
        basis: Basis,
        client: Ipv6Addr,
        destination: SocketAddrV4,
        is_own: impl FnOnce() -> bool,
    ) -> Judgement {
        let (address, port) = (*destination.ip(), destination.port());
        let is_local = basis == Basis::Local;
        let loopback = !is_local && (address.is_loopback() || address.is_unspecified());
        if loopback && !self.allow_loopback {
            return Judgement { decision: Decision::Deny(DenyReason::Loopback), rule: None };
        }
        let block = if loopback || is_local { None } else { special::block_length(address) };
        let is_own = LazyCell::new(|| !loopback && !is_local && is_own());
        let first = |permit_length| {
            let place = self.index.of(protocol).first(client, address, port, permit_length)?;
            self.rules.get(place).map(|rule| (place, rule))
        };

        let mut matching = first(block.unwrap_or(0));
        if matching.is_some_and(|(_, rule)| rule.action != Action::Deny && rule.destination.length() < 32)
            && *is_own
        {
            matching = first(32);
        }
        // Deny rules do not apply to a named server: a match of one counts as no match.
        let rule = matching.filter(|(_, rule)| basis != Basis::Named || rule.action != Action::Deny);
        let decision = match rule.map(|(_, rule)| rule.action) {
            Some(Action::Permit { outgoing }) => {
                Decision::Permit { outgoing: outgoing.filter(|_| basis != Basis::Named) }
            }
            Some(Action::Deny) => Decision::Deny(DenyReason::Rule),
            None if *is_own => Decision::Deny(DenyReason::OwnAddress),
            None if block.is_some() => Decision::Deny(DenyReason::SpecialPurpose),
            None if self.rules.is_empty() || basis == Basis::Named => Decision::Permit { outgoing: None },
            None => Decision::Deny(DenyReason::NoMatch),
        };
        Judgement { decision, rule: rule.map(|(place, _)| place) }
    }
}

/// The index for each protocol.
#[derive(Clone, Debug, Default)]
struct Indexes {
    tcp: Index,
    /// Those of UDP and of echo requests. `None` if no rule names a protocol: the other one is for all then.
    others: Option<Box<[Index; 2]>>,
}

impl Indexes {
    fn new(rules: &[Rule]) -> Self {
        let differ = rules.iter().any(|rule| rule.protocol.is_some());
        let others =
            differ.then(|| Box::new([Protocol::Udp, Protocol::Icmp].map(|other| Index::new(rules, other))));
        Self { tcp: Index::new(rules, Protocol::Tcp), others }
    }

    #[inline]
    fn of(&self, protocol: Protocol) -> &Index {
        match (protocol, self.others.as_deref()) {
            (Protocol::Udp, Some([udp, _])) => udp,
            (Protocol::Icmp, Some([_, icmp])) => icmp,
            (Protocol::Tcp, _) | (_, None) => &self.tcp,
        }
    }
}

/// Returns true if `address` is globally reachable unicast: neither loopback nor in a special-purpose block.
#[must_use]
pub fn is_global(address: Ipv4Addr) -> bool {
    !address.is_loopback() && special::block_length(address).is_none()
}

/// Lists are equal when they have the same rules in the same order, and the same defaults.
impl PartialEq for AccessList {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules && self.allow_loopback == other.allow_loopback
    }
}

impl Eq for AccessList {}

#[cfg(test)]
mod tests;
