//! The faith interface: a TUN on the host, a TUN inside a private network namespace whose kernel terminates the
//! captured connections, and the pump between them. `ARCHITECTURE.md` has the picture.

mod counters;
mod error;
mod held;
mod interface;
mod keepfaith;
mod listener;
mod namespace;
mod netlink;
mod on_demand;
mod own_addresses;
mod pump;
mod service;
mod steer;
mod worker;

pub use counters::InterfaceStats;
pub use error::StackError;
pub use held::{HeldSyn, Released};
pub use interface::{FaithInterface, InterfaceOptions, ListenerHandle, LostCallback, Steering};
pub use keepfaith::{keepfaith, set_keepfaith};
pub use service::{Captured, HoldLimits, ListenOptions, Service};
