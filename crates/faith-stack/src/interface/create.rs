//! Creates an interface.

use std::sync::{Arc, Once, OnceLock};

use arc_swap::ArcSwap;
use faith_packet::classify::Classifier;
use faith_packet::prefix::PrefixSet;
use faith_sys::descriptors;
use faith_sys::privileges;
use faith_sys::splice;
use faith_sys::tun::Tun;
use parking_lot::Mutex;

use super::FaithInterface;
use crate::capturing;
use crate::counters::Counters;
use crate::devices::{QUEUE, tun_failed};
use crate::error::StackError;
use crate::handover::Handover;
use crate::heartbeat;
use crate::held::HeldTable;
use crate::ipv6;
use crate::keeper::Host;
use crate::keepfaith::follow_keepfaith;
use crate::mixing::Mixing;
use crate::namespace::{Inside, Namespace};
use crate::netlink::Netlink;
use crate::options::{InterfaceOptions, ShortcutUse, Steering};
use crate::own_addresses::OwnAddresses;
use crate::routes::Routes;
use crate::shared::{LostCallback, Shared};
use crate::shortcut::Shortcut;
use crate::spread::{Syns, spread};
use crate::tcp_settings::TcpSettings;
use crate::warning::{self, WarningCallback, Warnings};
use crate::watch::{Watch, Watched};
use crate::watchdog::Watchdog;
use crate::worker::Workers;

/// Makes the stack's packets come to the pump before `lost` resets connections: the shortcut leads to a deleted device.
fn leave_shortcut_first(
    namespace: &Arc<Namespace>,
    shortcut: Option<&Arc<Shortcut>>,
    lost: LostCallback,
) -> LostCallback {
    let (namespace, shortcut) = (Arc::clone(namespace), shortcut.cloned());
    Box::new(move |error| {
        if let Some(shortcut) = shortcut {
            namespace.run(|inside| inside.leave_shortcut());
            shortcut.leave();
        }
        lost(error);
    })
}

/// Connects to netlink, if the process may make interfaces and there is none of this name.
fn netlink_for(name: &str) -> Result<Netlink, StackError> {
    if privileges::are_dropped() {
        return Err(StackError::Unprivileged(name.to_owned()));
    }
    let netlink =
        Netlink::connect().map_err(|failed| StackError::failed(format!("create {name}: netlink"), failed))?;
    let exists = netlink
        .exists(name)
        .map_err(|error| StackError::system(format!("look up {name}"), "RTM_GETLINK", error))?;
    if exists { Err(StackError::Exists(name.to_owned())) } else { Ok(netlink) }
}

impl FaithInterface {
    /// Creates the interface in the calling thread's network namespace, and starts its workers. Blocks for some
    /// milliseconds. The interface calls `lost` when it cannot go on, and `warned` for every [`Warning`](crate::Warning).
    ///
    /// # Errors
    /// An illegal or taken name, no prefixes or overlapping ones, a bad MTU, no IPv6, a missing /dev/net/tun, missing
    /// privileges, privileges that the process has given up, or a prefix that is routed elsewhere already.
    pub fn create(
        options: InterfaceOptions,
        lost: LostCallback,
        warned: WarningCallback,
    ) -> Result<Self, StackError> {
        let set = options.check()?;
        let queues = options.queues();
        let InterfaceOptions { name, mtu, routes, unsupported, steering, shortcut, .. } = options;
        let netlink = netlink_for(&name)?;
        // If this fails, relays adapt their own limits to the old one, and say so.
        let _ = descriptors::raise_limit();
        ipv6::check_host()?;
        // This comes before faithd's own device exists: its first MTU would count too.
        let settings = TcpSettings::of_this_namespace(&netlink)
            .map_err(|error| StackError::system("list the host's devices", "RTM_GETLINK", error))?;
        let outer = Tun::create(&name, queues).map_err(|error| tun_failed(&name, error))?;
        let (namespace, inner) = Namespace::create(&name, mtu, queues, steering == Steering::Auto, settings)?;
        let namespace = Arc::new(namespace);
        let host = Arc::new(Host::here(&name)?);
        let warnings = Warnings::new(&name, warned);
        if let Err(error) = splice::probe()
            && splice::is_refusal(&error)
        {
            warnings.send(warning::Kind::NoSplice(Arc::new(error)));
        }
        let unsteered = |inside: &mut Inside| (inside.steering.is_some(), inside.unsteered.take());
        let (steered, unsteered) = namespace.run(unsteered).unwrap_or_default();
        if let Some(why) = unsteered {
            warnings.send(warning::Kind::NoSteering(why));
        }

        ipv6::enable(&name)?;
        let device = netlink
            .bring_up(&name, mtu, QUEUE)
            .map_err(|error| StackError::system(format!("bring {name} up"), "RTM_NEWLINK", error))?;
        let started = |failed| StackError::failed(format!("start the workers of {name}"), failed);
        let (shortcut, guard) = match shortcut {
            ShortcutUse::Auto => Shortcut::make(&name, &outer, mtu, &netlink, &namespace, &warnings)
                .inspect_err(|error| warnings.send(warning::Kind::NoShortcut(error.to_string())))
                .ok(),
            ShortcutUse::Off => None,
        }
        .unzip();
        let syns = if shortcut.is_some() { Syns::ByBacklog } else { Syns::ByFlow };
        let mixing = Mixing::random();
        let spread = (queues > 1).then(|| spread([&outer, &inner], syns, mixing)).transpose();
        let backlogs = spread.unwrap_or_else(|error| {
            warnings.send(warning::Kind::NoSpread(error.of("queue")));
            None
        });
        let lost = leave_shortcut_first(&namespace, shortcut.as_ref(), lost);
        let shared = Arc::new(Shared {
            name: name.clone(),
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            classifier: Arc::new(ArcSwap::from_pointee(Classifier::new(PrefixSet::new(), unsupported))),
            listeners: ArcSwap::default(),
            counters: (0..queues).map(|_| Counters::default()).collect(),
            held: HeldTable::new(queues),
            backlogs,
            shortcut,
            superframes: outer.first().is_some_and(|queue| queue.carry_superframes().is_ok()),
            mixing,
            handovers: (0..queues).map(|_| Handover::default()).collect(),
            places: Mutex::default(),
            icmp: OnceLock::new(),
            warnings: warnings.clone(),
            untold: Once::new(),
            lost: Mutex::new(Some(lost)),
            objections: Mutex::default(),
        });
        let queues = outer.into_iter().zip(inner).collect();
        let workers = Arc::new(Workers::start(&shared, queues).map_err(started)?);
        let open = Arc::new(Mutex::new(true));
        let own = Arc::new(OwnAddresses::unknown());
        let watched = Watched {
            own: Arc::clone(&own),
            guard,
            routes: Some(Routes::new(&shared, &host, device, &open, routes)),
            watchdog: Some(Watchdog::new(&shared, &workers)),
            warnings,
        };
        let watch = Watch::start(&name, watched)
            .map_err(|failed| StackError::failed(format!("watch the host for {name}"), failed))?;
        let interface = Self {
            shared,
            workers,
            namespace,
            host,
            own,
            watch,
            device,
            mtu,
            routes,
            unsupported,
            steered,
            open,
            closing: Mutex::default(),
        };
        capturing::enter(&interface.shared.classifier);
        heartbeat::enter(interface.name(), &interface.workers);
        for prefix in &set {
            interface.add_prefix(*prefix)?;
        }
        if let Some(shortcut) = &interface.shared.shortcut {
            follow_keepfaith(Arc::downgrade(shortcut));
        }
        Ok(interface)
    }
}
