//! The faith interface: a TUN on the host, a TUN inside a private network namespace whose kernel terminates the
//! captured connections, and the pump between them. `ARCHITECTURE.md` has the picture.

mod allowance;
mod answered;
mod counters;
mod cut;
mod deliver;
mod ebpf;
mod errno;
mod error;
mod flow_table;
mod flush;
mod handle;
mod held;
mod interface;
mod ipv6;
mod keepfaith;
mod listener;
mod namespace;
mod netlink;
mod on_demand;
mod options;
mod own_addresses;
#[cfg(test)]
mod packets;
mod pump;
mod routes;
mod service;
mod shortcut;
mod spread;
mod stand_in;
mod steer;
mod support;
mod tcp_settings;
mod warning;
mod watch;
mod watchdog;
mod work;
mod worker;

pub use allowance::Allowance;
pub use counters::InterfaceStats;
pub use error::StackError;
pub use flow_table::{FlowTable, Slot};
pub use handle::ListenerHandle;
pub use held::{HeldSyn, Released};
pub use interface::{FaithInterface, Guide, LostCallback};
pub use keepfaith::{keepfaith, set_keepfaith};
pub use options::{InterfaceOptions, ShortcutUse, Steering};
pub use service::{Captured, HoldLimits, ListenOptions, Prepare, Service};
pub use support::{Obstacle, Support};
pub use warning::{Warning, WarningCallback};
