//! Refusals: the reason for which there is no session, and the answer to the client.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};

use faith_packet::icmpv6::Unreachable;
use faith_packet::translate::{Icmpv4Error, Icmpv6Error};
use faith_stack::SynAnswer;
use faith_sys::tcp;

use crate::cause::Cause;
use crate::connect_error::ConnectError;
use crate::denying_rule::DenyingRule;
use crate::record::RefusalReason;

/// Type and code of ICMP's Time Exceeded about a packet that had no hop left (RFC 792).
const HOP_LIMIT: (u8, u8) = (11, 0);

/// A refused attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) cause: Option<Cause>,
    /// The rule that denies the connection, if one does.
    pub(crate) rule: Option<DenyingRule>,
    pub(crate) answer: SynAnswer,
    /// The error (errno(3)), if there is one.
    pub(crate) errno: Option<i32>,
    /// The address that the connection cannot come from, if that is the cause.
    pub(crate) source: Option<IpAddr>,
    /// The error that a router or the server sent, and its sender, if the client gets that instead of `answer`.
    pub(crate) report: Option<(Icmpv6Error, Ipv4Addr)>,
}

impl Refusal {
    pub(crate) const fn new(reason: RefusalReason, answer: SynAnswer) -> Self {
        Self { reason, cause: None, rule: None, answer, errno: None, source: None, report: None }
    }

    const fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The policy of this host or of the relay denies the connection.
    pub(crate) const fn denied(cause: Cause) -> Self {
        Self::new(RefusalReason::Denied, SynAnswer::Unreachable(Unreachable::Prohibited)).because(cause)
    }

    /// A rule of the access list denies the connection.
    pub(crate) fn denied_by(rule: DenyingRule) -> Self {
        Self { rule: Some(rule), ..Self::denied(Cause::DeniedByRule) }
    }

    /// A limit is reached.
    pub(crate) const fn limit(cause: Cause) -> Self {
        Self::new(RefusalReason::Limit, SynAnswer::Reset).because(cause)
    }

    /// A limit of datagrams is reached. Host Unreachable is a soft error: a client may try again (RFC 6888 REQ-5).
    pub(crate) const fn full(cause: Cause) -> Self {
        Self::new(RefusalReason::Limit, SynAnswer::Unreachable(Unreachable::AddressUnreachable))
            .because(cause)
    }

    /// The [`Route`](crate::Route) rejected the connection.
    pub(crate) const fn rejected(reason: RefusalReason, answer: SynAnswer) -> Self {
        Self::new(reason, answer).because(Cause::RejectedByRoute)
    }

    /// The destination maps to no IPv4 address.
    pub(crate) const NO_MAPPING: Self =
        Self::new(RefusalReason::Unreachable, SynAnswer::Unreachable(Unreachable::NoRoute))
            .because(Cause::NoMapping);

    /// The [`Route`](crate::Route) gave no verdict.
    pub(crate) const UNDECIDED: Self =
        Self::new(RefusalReason::Error, SynAnswer::Reset).because(Cause::NoVerdict);

    /// The client gave the connection up.
    pub(crate) const GIVEN_UP: Self =
        Self::new(RefusalReason::ClientReset, SynAnswer::Silence).because(Cause::ClientGaveUp);

    /// The client was answered, and did not complete its handshake.
    pub(crate) const NO_HANDSHAKE: Self =
        Self::new(RefusalReason::Aborted, SynAnswer::Silence).because(Cause::NoHandshake);

    /// The relay begins no session of datagrams any more.
    pub(crate) const CLOSED: Self =
        Self::new(RefusalReason::Aborted, SynAnswer::Unreachable(Unreachable::AddressUnreachable))
            .because(Cause::RelayClosed);

    /// Makes a refusal of an error of socket(2) or connect(2).
    pub(crate) fn from_error(error: &io::Error) -> Self {
        Self { errno: error.raw_os_error(), ..Self::meaning_of(error) }
    }

    /// Makes a refusal of an ICMP message of this type and code, of which the kernel made `error`. `probed` tells that the
    /// client looks for the routers on the way.
    pub(crate) fn reported(
        (kind, code): (u8, u8),
        offender: Ipv4Addr,
        error: &io::Error,
        probed: bool,
    ) -> Self {
        let meaning = Self::from_error(error);
        let translated = Icmpv6Error::from_icmpv4(Icmpv4Error { kind, code, info: 0 }, 0);
        let prohibited = Unreachable::Prohibited;
        let (refusal, told) = match (translated, meaning.answer) {
            (Some(exceeded), _) if (kind, code) == HOP_LIMIT && probed => {
                (Self::new(RefusalReason::HopLimit, SynAnswer::Silence), Some(exceeded))
            }
            (Some(exceeded), _) if (kind, code) == HOP_LIMIT => (meaning, Some(exceeded)),
            // The kernel makes `EHOSTUNREACH` of it.
            (Some(error), _) if error == prohibited.into() => {
                (Self { answer: SynAnswer::Unreachable(prohibited), ..meaning }, Some(error))
            }
            // RFC 7915 has one code for networks and hosts that are not reached. A client of IPv4 tells them apart.
            (_, SynAnswer::Unreachable(code)) => (meaning, Some(code.into())),
            // Any client understands a RST. One that looks for the routers sees who refused.
            (Some(error), _) if probed => (meaning, Some(error)),
            _ => (meaning, None),
        };
        Self { report: told.map(|error| (error, offender)), ..refusal }
    }

    fn meaning_of(error: &io::Error) -> Self {
        if tcp::exhaustion(error).is_some() {
            return Self::new(RefusalReason::Exhausted, SynAnswer::Reset);
        }
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                Self::new(RefusalReason::Refused, SynAnswer::Reset)
            }
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Self::new(RefusalReason::Unreachable, SynAnswer::Unreachable(Unreachable::NoRoute))
            }
            ErrorKind::HostUnreachable => {
                Self::new(RefusalReason::Unreachable, SynAnswer::Unreachable(Unreachable::AddressUnreachable))
            }
            // EPERM and EACCES: a local firewall, or an address to which the kernel does not connect, such as a broadcast one.
            ErrorKind::PermissionDenied => Self::denied(Cause::ProhibitedByHost),
            ErrorKind::TimedOut => Self::new(RefusalReason::ConnectTimeout, SynAnswer::Silence),
            // The send queue did not take the whole header.
            ErrorKind::WriteZero => Self::new(RefusalReason::Exhausted, SynAnswer::Reset),
            _ => Self::new(RefusalReason::Error, SynAnswer::Reset),
        }
    }
}

impl From<&ConnectError> for Refusal {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Source { address, error } => Self {
                errno: error.raw_os_error(),
                source: Some(*address),
                ..Self::new(RefusalReason::Error, SynAnswer::Reset).because(Cause::NoSource)
            },
            ConnectError::Ports { cause: Cause::MaxPortsPerClient, .. } => {
                Self::limit(Cause::MaxPortsPerClient)
            }
            ConnectError::Ports { cause, error } => Self {
                errno: error.raw_os_error(),
                ..Self::new(RefusalReason::Exhausted, SynAnswer::Reset).because(*cause)
            },
            ConnectError::Prohibited(error) => Self {
                errno: error.raw_os_error(),
                ..Self::new(RefusalReason::Unreachable, SynAnswer::Unreachable(Unreachable::Prohibited))
            },
            ConnectError::Reported { icmp, offender, error } => {
                Self::reported(*icmp, *offender, error, false)
            }
            ConnectError::Other(error) => Self::from_error(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(kind: ErrorKind) -> Refusal {
        Refusal::from_error(&kind.into())
    }

    #[test]
    fn each_error_of_connect_has_its_reason() {
        let reason = |kind| meaning(kind).reason;
        assert_eq!(reason(ErrorKind::ConnectionRefused), RefusalReason::Refused);
        assert_eq!(reason(ErrorKind::NetworkUnreachable), RefusalReason::Unreachable);
        assert_eq!(reason(ErrorKind::HostUnreachable), RefusalReason::Unreachable);
        assert_eq!(reason(ErrorKind::PermissionDenied), RefusalReason::Denied);
        assert_eq!(reason(ErrorKind::TimedOut), RefusalReason::ConnectTimeout);
    }

    #[test]
    fn running_out_of_descriptors_is_exhaustion_of_this_host() {
        const EMFILE: i32 = 24;
        let refusal = Refusal::from_error(&io::Error::from_raw_os_error(EMFILE));
        assert_eq!((refusal.reason, refusal.errno), (RefusalReason::Exhausted, Some(EMFILE)));
    }

    #[test]
    fn a_destination_prohibited_by_the_host_has_a_cause_of_its_own() {
        let refusal = meaning(ErrorKind::PermissionDenied);
        assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Denied, Some(Cause::ProhibitedByHost)));
    }

    const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

    /// Reason, answer and the type and code that the client gets, of an ICMP message and the kernel's error.
    fn report(icmp: (u8, u8), kind: ErrorKind, probed: bool) -> (RefusalReason, SynAnswer, Option<(u8, u8)>) {
        let Refusal { reason, answer, report, .. } = Refusal::reported(icmp, ROUTER, &kind.into(), probed);
        assert!(report.is_none_or(|(_, offender)| offender == ROUTER));
        (reason, answer, report.map(|(error, _)| (error.kind, error.code)))
    }

    #[test]
    fn a_hop_limit_that_ran_out_is_the_clients_own_if_it_was_small() {
        let at = |probed| report((11, 0), ErrorKind::HostUnreachable, probed);
        assert_eq!(at(true), (RefusalReason::HopLimit, SynAnswer::Silence, Some((3, 0))));
        let looping = SynAnswer::Unreachable(Unreachable::AddressUnreachable);
        assert_eq!(at(false), (RefusalReason::Unreachable, looping, Some((3, 0))));
    }

    #[test]
    fn unreachable_is_as_precise_as_the_error_of_the_kernel() {
        let cases = [
            (0, ErrorKind::NetworkUnreachable, Unreachable::NoRoute),
            (1, ErrorKind::HostUnreachable, Unreachable::AddressUnreachable),
            (9, ErrorKind::NetworkUnreachable, Unreachable::Prohibited),
            (10, ErrorKind::HostUnreachable, Unreachable::Prohibited),
            (13, ErrorKind::HostUnreachable, Unreachable::Prohibited),
        ];
        for (code, kind, expected) in cases {
            for probed in [false, true] {
                let answer = SynAnswer::Unreachable(expected);
                let expected = (RefusalReason::Unreachable, answer, Some((1, expected.code())));
                assert_eq!(report((3, code), kind, probed), expected, "code {code}");
            }
        }
    }

    #[test]
    fn a_refused_client_is_reset_and_one_that_looks_for_routers_sees_who_refused() {
        let at = |probed| report((3, 3), ErrorKind::ConnectionRefused, probed);
        assert_eq!(at(false), (RefusalReason::Refused, SynAnswer::Reset, None));
        assert_eq!(at(true), (RefusalReason::Refused, SynAnswer::Reset, Some((1, 4))));
    }

    #[test]
    fn a_missing_route_and_a_missing_host_get_different_answers() {
        let answer = |kind| meaning(kind).answer;
        assert_ne!(answer(ErrorKind::NetworkUnreachable), answer(ErrorKind::HostUnreachable));
    }

    #[test]
    fn a_client_whose_server_does_not_answer_gets_no_answer() {
        assert_eq!(meaning(ErrorKind::TimedOut).answer, SynAnswer::Silence);
    }
}
