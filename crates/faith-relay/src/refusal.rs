//! Refusals: the reason for which there is no session, and the answer to the client.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use faith_packet::icmpv6::Unreachable;
use faith_stack::SynAnswer;
use faith_sys::tcp;

use crate::cause::Cause;
use crate::connect_error::ConnectError;
use crate::denying_rule::DenyingRule;
use crate::record::RefusalReason;

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
}

impl Refusal {
    pub(crate) const fn new(reason: RefusalReason, answer: SynAnswer) -> Self {
        Self { reason, cause: None, rule: None, answer, errno: None, source: None }
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

    /// Makes a refusal of an error of socket(2) or connect(2).
    pub(crate) fn from_error(error: &io::Error) -> Self {
        Self { errno: error.raw_os_error(), ..Self::meaning_of(error) }
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
