//! Why there is no session, and how the client is told.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use faith_packet::icmpv6::Unreachable;
use faith_stack::SynAnswer;
use faith_sys::tcp;

use crate::cause::Cause;
use crate::connect_error::ConnectError;
use crate::record::RefusalReason;

/// Why there will be no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) cause: Option<Cause>,
    pub(crate) answer: SynAnswer,
    /// The error behind it (errno(3)), where there is one.
    pub(crate) errno: Option<i32>,
    /// The address that the connection cannot come from, where that is why.
    pub(crate) source: Option<IpAddr>,
}

impl Refusal {
    pub(crate) const fn new(reason: RefusalReason, answer: SynAnswer) -> Self {
        Self { reason, cause: None, answer, errno: None, source: None }
    }

    const fn because(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Policy, this host's or the relay's.
    pub(crate) const fn denied(cause: Cause) -> Self {
        Self::new(RefusalReason::Denied, SynAnswer::Unreachable(Unreachable::Prohibited)).because(cause)
    }

    /// As many sessions as there may be.
    pub(crate) const fn limit(cause: Cause) -> Self {
        Self::new(RefusalReason::Limit, SynAnswer::Reset).because(cause)
    }

    /// The [`Route`](crate::Route) said so.
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

    /// The client wants the connection no more.
    pub(crate) const GIVEN_UP: Self =
        Self::new(RefusalReason::ClientReset, SynAnswer::Silence).because(Cause::ClientGaveUp);

    /// The client was answered, and did not complete its handshake.
    pub(crate) const NO_HANDSHAKE: Self =
        Self::new(RefusalReason::Aborted, SynAnswer::Silence).because(Cause::NoHandshake);

    /// What an error of socket(2) or connect(2) means.
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
            // EPERM and EACCES: a local firewall, or an address that may not be dialled, such as a broadcast
            // one.
            ErrorKind::PermissionDenied => Self::denied(Cause::ProhibitedByHost),
            ErrorKind::TimedOut => Self::new(RefusalReason::ConnectTimeout, SynAnswer::Silence),
            // The send queue did not take the header whole.
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
    fn errors_of_connect_are_told_as_what_they_are() {
        let reason = |kind| meaning(kind).reason;
        assert_eq!(reason(ErrorKind::ConnectionRefused), RefusalReason::Refused);
        assert_eq!(reason(ErrorKind::NetworkUnreachable), RefusalReason::Unreachable);
        assert_eq!(reason(ErrorKind::HostUnreachable), RefusalReason::Unreachable);
        assert_eq!(reason(ErrorKind::PermissionDenied), RefusalReason::Denied);
        assert_eq!(reason(ErrorKind::TimedOut), RefusalReason::ConnectTimeout);
    }

    #[test]
    fn running_out_of_descriptors_is_no_fault_of_the_server() {
        const EMFILE: i32 = 24;
        let refusal = Refusal::from_error(&io::Error::from_raw_os_error(EMFILE));
        assert_eq!((refusal.reason, refusal.errno), (RefusalReason::Exhausted, Some(EMFILE)));
    }

    #[test]
    fn a_prohibited_destination_is_told_apart_from_the_rules_of_the_access_list() {
        let refusal = meaning(ErrorKind::PermissionDenied);
        assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Denied, Some(Cause::ProhibitedByHost)));
    }

    #[test]
    fn a_missing_route_and_a_missing_host_differ() {
        let answer = |kind| meaning(kind).answer;
        assert_ne!(answer(ErrorKind::NetworkUnreachable), answer(ErrorKind::HostUnreachable));
    }

    #[test]
    fn a_server_that_does_not_answer_is_answered_with_silence() {
        assert_eq!(meaning(ErrorKind::TimedOut).answer, SynAnswer::Silence);
    }
}
