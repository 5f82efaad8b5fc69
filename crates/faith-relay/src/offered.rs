//! The SYNs that the stack offers, as far as the engine asks about them, so that its tests can do without a stack.

use std::net::SocketAddrV6;

use faith_packet::icmpv6::Unreachable;
use faith_stack::{HeldSyn, Released};

/// A SYN that waits for a decision, as [`HeldSyn`].
pub(crate) trait Offered: 'static {
    /// What keeps its place until the connection is accepted.
    type Released: 'static;
    fn client(&self) -> SocketAddrV6;
    fn destination(&self) -> SocketAddrV6;
    fn traffic_class(&self) -> u8;
    fn given_up(&self) -> impl Future<Output = ()> + use<Self> + 'static;
    fn release(self) -> Self::Released;
    fn reset(self);
    fn unreachable(self, code: Unreachable);
    fn ignore(self);
}

impl Offered for HeldSyn {
    type Released = Released;

    fn client(&self) -> SocketAddrV6 {
        HeldSyn::client(self)
    }

    fn destination(&self) -> SocketAddrV6 {
        HeldSyn::destination(self)
    }

    fn traffic_class(&self) -> u8 {
        HeldSyn::traffic_class(self)
    }

    fn given_up(&self) -> impl Future<Output = ()> + use<> + 'static {
        HeldSyn::given_up(self)
    }

    fn release(self) -> Released {
        HeldSyn::release(self)
    }

    fn reset(self) {
        HeldSyn::reset(self);
    }

    fn unreachable(self, code: Unreachable) {
        HeldSyn::unreachable(self, code);
    }

    fn ignore(self) {
        HeldSyn::ignore(self);
    }
}
