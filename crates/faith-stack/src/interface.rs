//! The faith interface: its device on the host, its private namespace, and everything that runs between them.

use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use faith_packet::classify::{Classifier, Unsupported};
use faith_packet::prefix::{FaithPrefix, PrefixSet};
use faith_sys::backlog::Backlogs;
use faith_sys::tun::Tun;
use tokio::sync::watch;

use crate::counters::{Counters, InterfaceStats};
use crate::error::StackError;
use crate::handle::ListenerHandle;
use crate::held::{HeldTable, Hold};
use crate::keepfaith::{follow_keepfaith, keepfaith};
use crate::listener::{Listener, Listeners, Reach, State, accept};
use crate::namespace::{AcceptQueue, Namespace, QUEUE, listening_group, tun_failed};
use crate::netlink::watch::Watch;
use crate::netlink::{Device, Netlink};
use crate::on_demand::OnDemand;
use crate::options::{InterfaceOptions, ShortcutUse, Steering};
use crate::own_addresses::OwnAddresses;
use crate::routes;
use crate::service::{ListenOptions, Service};
use crate::shortcut::Shortcut;
use crate::spread::{Syns, spread};
use crate::steer::RuleId;
use crate::tcp_settings::TcpSettings;
use crate::worker::Workers;

/// Called once, from a worker, when the interface was taken away from under us.
pub type LostCallback = Box<dyn FnOnce(StackError) + Send>;

/// What an interface's threads share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) classifier: Arc<ArcSwap<Classifier>>,
    pub(crate) listeners: ArcSwap<Listeners>,
    pub(crate) counters: Vec<Counters>,
    pub(crate) held: HeldTable,
    /// Where a program chooses the queues.
    backlogs: Option<Backlogs>,
    shortcut: Option<Arc<Shortcut>>,
    lost: Mutex<Option<LostCallback>>,
}

impl Shared {
    /// Says that a worker has accepted all that there is to accept.
    pub(crate) fn accepted(&self, worker: usize) {
        if let Some(shortcut) = &self.shortcut {
            shortcut.accepted(worker);
        }
    }

    /// Says that a worker has nothing left in its queue of the host's device.
    pub(crate) fn seen(&self, worker: usize) {
        if let Some(backlogs) = &self.backlogs {
            backlogs.seen(worker);
        }
    }

    /// Reports that a queue can be read no more: somebody deleted its device.
    pub(crate) fn lost(&self) {
        if let Some(callback) = self.take_lost() {
            callback(StackError::Deleted(self.name.clone()));
        }
    }

    /// Changes who listens, and with it whether SYNs may pass by the shortcut.
    pub(crate) fn relist(&self, change: impl Fn(&Listeners) -> Listeners) {
        drop(self.listeners.rcu(|listeners| change(listeners)));
        if let Some(shortcut) = &self.shortcut {
            shortcut.pass_syns(|| !self.listeners.load().look_at_syns());
        }
    }

    fn take_lost(&self) -> Option<LostCallback> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_lost(&self) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// A faith interface. It, its routes and its namespace are gone when it is dropped, or the process ends.
pub struct FaithInterface {
    shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
    namespace: Arc<Namespace>,
    guard: Option<Watch>,
    own: OwnAddresses,
    device: Device,
    routes: bool,
    /// Keeps the host's routes, where they are ours.
    router: Option<Watch>,
    unsupported: Unsupported,
    steered: bool,
    /// Locked while prefixes change.
    open: Arc<Mutex<bool>>,
}

impl FaithInterface {
    /// Makes the interface in the network namespace of the calling thread, and starts its workers. Blocks for
    /// some milliseconds.
    ///
    /// # Errors
    /// An illegal or taken name, no prefixes or overlapping ones, a bad MTU, a missing /dev/net/tun, missing
    /// privileges, or a prefix that is routed elsewhere already.
    pub fn create(options: InterfaceOptions, lost: LostCallback) -> Result<Self, StackError> {
        let set = options.check()?;
        let queues = options.queues();
        let InterfaceOptions { name, mtu, routes, unsupported, steering, shortcut, .. } = options;
        let netlink = Netlink::connect()
            .map_err(|error| StackError::system(format!("create {name}: netlink"), "socket", error))?;
        if netlink
            .exists(&name)
            .map_err(|error| StackError::system(format!("look up {name}"), "RTM_GETLINK", error))?
        {
            return Err(StackError::Exists(name));
        }
        let outer = Tun::create(&name, queues).map_err(|error| tun_failed(&name, error))?;
        let settings = TcpSettings::of_this_namespace(&netlink)
            .map_err(|error| StackError::system("look at the host's devices", "RTM_GETLINK", error))?;
        let (namespace, inner) = Namespace::create(&name, mtu, queues, steering == Steering::Auto, settings)?;
        let namespace = Arc::new(namespace);
        let steered = namespace.run(|inside| inside.steering.is_some()).unwrap_or(false);

        let device = netlink
            .bring_up(&name, mtu, QUEUE)
            .map_err(|error| StackError::system(format!("bring {name} up"), "RTM_NEWLINK", error))?;
        let started = |error| StackError::system(format!("start the workers of {name}"), "clone", error);
        let own = OwnAddresses::watch(&name).map_err(started)?;
        let (shortcut, guard) = match shortcut {
            ShortcutUse::Auto => Shortcut::make(&name, queues, mtu, &netlink, &namespace)
                .inspect_err(|error| tracing::debug!(interface = %name, %error, "no shortcut"))
                .ok(),
            ShortcutUse::Off => None,
        }
        .unzip();
        let syns = if shortcut.is_some() { Syns::ByBacklog } else { Syns::ByFlow };
        let backlogs =
            (queues > 1).then(|| spread([&outer, &inner], syns)).transpose().unwrap_or_else(|error| {
                let error = error.of("queue");
                tracing::debug!(interface = %name, error, "the kernel spreads flows over queues");
                None
            });
        let shared = Arc::new(Shared {
            name: name.clone(),
            classifier: Arc::new(ArcSwap::from_pointee(Classifier::new(PrefixSet::new(), unsupported))),
            listeners: ArcSwap::default(),
            counters: (0..queues).map(|_| Counters::default()).collect(),
            held: HeldTable::new(queues),
            backlogs,
            shortcut,
            lost: Mutex::new(Some(lost)),
        });
        let workers = Workers::start(&shared, outer.into_iter().zip(inner).collect()).map_err(started)?;
        let open = Arc::new(Mutex::new(true));
        let router = routes.then(|| routes::keep(&shared, device, &open)).transpose().map_err(started)?;
        let interface = Self {
            shared,
            workers: Arc::new(workers),
            namespace,
            guard,
            own,
            device,
            routes,
            router,
            unsupported,
            steered,
            open,
        };
        for prefix in &set {
            interface.add_prefix(*prefix)?;
        }
        if let Some(shortcut) = &interface.shared.shortcut {
            follow_keepfaith(Arc::downgrade(shortcut));
        }
        Ok(interface)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How many workers serve it: they are numbered from 0.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.count()
    }

    /// How listeners of several ports are reached: never [`Steering::Auto`]'s promise, but what came of it.
    #[must_use]
    pub fn is_steered(&self) -> bool {
        self.steered
    }

    /// Whether established TCP goes past the pump.
    #[must_use]
    pub fn has_shortcut(&self) -> bool {
        self.shared.shortcut.as_ref().is_some_and(|shortcut| shortcut.is_taken())
    }

    /// The prefixes it has now.
    #[must_use]
    pub fn prefixes(&self) -> PrefixSet {
        self.shared.classifier.load().prefixes().clone()
    }

    /// Whether `address` is the host's own: of any of its interfaces, or routed to itself.
    #[must_use]
    pub fn is_own_ipv4(&self, address: Ipv4Addr) -> bool {
        self.own.contains(address)
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> InterfaceStats {
        let passed = self.shared.shortcut.as_ref().map(|shortcut| shortcut.passed()).unwrap_or_default();
        InterfaceStats::sum(self.shared.counters.iter(), passed)
    }

    fn opened(&self) -> Result<MutexGuard<'_, bool>, StackError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match *open {
            true if self.shared.is_lost() => Err(StackError::Deleted(self.shared.name.clone())),
            true => Ok(open),
            false => Err(self.closed()),
        }
    }

    fn closed(&self) -> StackError {
        StackError::Closed(self.shared.name.clone())
    }

    /// Captures `prefix` too, from now on. Blocks shortly.
    ///
    /// # Errors
    /// An overlap with a prefix it has, a route for it to elsewhere, or a closed interface.
    pub fn add_prefix(&self, prefix: FaithPrefix) -> Result<(), StackError> {
        let _open = self.opened()?;
        let mut prefixes = self.prefixes();
        prefixes.insert(prefix)?;
        self.inside(prefix, "make local", "RTM_NEWROUTE", super::namespace::Inside::add_prefix)?;
        let passes = self.shared.shortcut.as_ref().map_or(Ok(()), |shortcut| shortcut.add_prefix(&prefix));
        if let Err(error) = passes {
            let _ = self.namespace.run(move |inside| inside.remove_prefix(&prefix));
            let what = format!("let {prefix} pass by the shortcut of {}", self.shared.name);
            return Err(StackError::system(what, "bpf", error));
        }
        if self.routes
            && let Err(error) = self.route(&prefix, Netlink::add_route)
        {
            // The route's error is what the caller can do something about.
            self.stop_passing(&prefix);
            let _ = self.namespace.run(move |inside| inside.remove_prefix(&prefix));
            let hint = (error.kind() == io::ErrorKind::AlreadyExists)
                .then_some("remove that route, or set up routes by hand (routes: false, --no-routes)");
            return Err(StackError::System {
                what: format!("route {prefix} to {}", self.shared.name),
                syscall: "RTM_NEWROUTE",
                source: error,
                hint,
            });
        }
        self.classify(prefixes);
        Ok(())
    }

    /// Captures `prefix` no more; what was captured stalls. Blocks shortly.
    ///
    /// # Errors
    /// A prefix it does not have, or a closed interface.
    pub fn remove_prefix(&self, prefix: FaithPrefix) -> Result<(), StackError> {
        let _open = self.opened()?;
        let mut prefixes = self.prefixes();
        if !prefixes.remove(&prefix) {
            return Err(StackError::NoSuchPrefix { interface: self.shared.name.clone(), prefix });
        }
        if self.routes {
            // An administrator may have removed it before us.
            let _ = self.route(&prefix, Netlink::remove_route);
        }
        self.stop_passing(&prefix);
        self.classify(prefixes);
        self.inside(prefix, "make foreign", "RTM_DELROUTE", super::namespace::Inside::remove_prefix)
    }

    fn stop_passing(&self, prefix: &FaithPrefix) {
        if let Some(shortcut) = &self.shared.shortcut
            && let Err(error) = shortcut.remove_prefix(prefix)
        {
            tracing::warn!(%prefix, %error, "a prefix still passes by the shortcut");
        }
    }

    fn classify(&self, prefixes: PrefixSet) {
        self.shared.classifier.store(Arc::new(Classifier::new(prefixes, self.unsupported)));
    }

    fn route(
        &self,
        prefix: &FaithPrefix,
        change: impl Fn(&Netlink, &FaithPrefix, Device) -> io::Result<()>,
    ) -> io::Result<()> {
        change(&Netlink::connect()?, prefix, self.device)
    }

    fn inside(
        &self,
        prefix: FaithPrefix,
        what: &str,
        request: &'static str,
        change: impl FnOnce(&crate::namespace::Inside, &FaithPrefix) -> io::Result<()> + Send + 'static,
    ) -> Result<(), StackError> {
        self.namespace.run(move |inside| change(inside, &prefix)).ok_or_else(|| self.closed())?.map_err(
            |error| {
                let what = format!("{what} {prefix} inside {}", self.shared.name);
                StackError::system(what, request, error)
            },
        )
    }

    /// Takes connections for `service` from now on. Blocks shortly.
    ///
    /// # Errors
    /// keepfaith is off, a port is another listener's, the address is inside no prefix, sockets or steering
    /// rules ran out, or the interface is closed.
    pub fn listen(
        &self,
        options: ListenOptions,
        service: Arc<dyn Service>,
    ) -> Result<ListenerHandle, StackError> {
        let open = self.opened()?;
        if !keepfaith() {
            return Err(StackError::Keepfaith);
        }
        let ListenOptions { ports, address, backlog, prepare, hold } = options;
        if let Some(address) = address
            && self.prefixes().find(&address).is_none()
        {
            let interface = self.shared.name.clone();
            return Err(StackError::AddressOutside { interface, address });
        }
        let listeners = self.shared.listeners.load_full();
        if listeners.taken(address, &ports) {
            let address = address.map_or_else(|| "[::]".to_owned(), |address| address.to_string());
            return Err(StackError::PortTaken { address, ports });
        }
        let (reach, rule) = self.reach(address, &ports, AcceptQueue { backlog, prepare })?;
        let listener = Arc::new(Listener {
            address,
            ports,
            hold: hold.map(Hold::new),
            service,
            reach,
            state: watch::Sender::new(State::Accepting),
        });
        for (worker, socket) in listener.sockets().into_iter().enumerate() {
            let listener = Arc::clone(&listener);
            self.workers.run(worker, move |pump| {
                tokio::task::spawn_local(accept(Rc::clone(pump), listener, socket, None));
            });
        }
        // Others may be closed meanwhile.
        self.shared.relist(|listeners| listeners.with(&listener));
        drop(open);
        Ok(ListenerHandle {
            listener,
            rule: Mutex::new(rule),
            shared: Arc::clone(&self.shared),
            namespace: Arc::clone(&self.namespace),
        })
    }

    /// Makes the sockets of a listener, or what will make them.
    fn reach(
        &self,
        address: Option<std::net::Ipv6Addr>,
        ports: &faith_packet::ports::PortSet,
        queue: AcceptQueue,
    ) -> Result<(Reach, Option<RuleId>), StackError> {
        let count = self.workers.count();
        let single = ports.is_single();
        if !self.steered && single.is_none() {
            let (namespace, workers) = (Arc::clone(&self.namespace), Arc::clone(&self.workers));
            let sockets = OnDemand::new(namespace, workers, address, queue);
            return Ok((Reach::OnDemand(sockets), None));
        }
        let wanted = ports.clone();
        let made = self.namespace.run(move |inside| {
            let Some(steering) = &mut inside.steering else {
                let bound = address.unwrap_or(std::net::Ipv6Addr::UNSPECIFIED);
                return listening_group(bound, single.unwrap_or(0), queue, count)
                    .map(|group| (group, None))
                    .map_err(|error| StackError::system("listen inside the namespace", "bind", error));
            };
            // Bound to loopback, so that nothing but steering leads to them.
            let group = listening_group(std::net::Ipv6Addr::LOCALHOST, 0, queue, count)
                .map_err(|error| StackError::system("listen inside the namespace", "bind", error))?;
            let rule = match group.first() {
                Some(socket) => {
                    let socket = std::os::fd::AsFd::as_fd(socket);
                    let rule = steering.add(address, &wanted, socket).map_err(|error| {
                        let what = format!("steer ports {wanted}: {error}");
                        StackError::system(what, "bpf", io::ErrorKind::StorageFull)
                    })?;
                    Some(rule)
                }
                None => None,
            };
            Ok((group, rule))
        });
        let (group, rule) = made.ok_or_else(|| self.closed())??;
        Ok((Reach::Always(Mutex::new(group)), rule))
    }

    /// Ends every listener and worker, with whatever connections are left, and takes the interface away. Blocks
    /// until that is done; closing it again does nothing.
    pub fn close(&self) {
        // It may be about to lock that.
        if let Some(router) = &self.router {
            router.stop();
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            return;
        }
        *open = false;
        drop(self.shared.take_lost());
        for listener in self.shared.listeners.swap(Arc::default()).iter() {
            listener.close();
            listener.service.closing();
        }
        if let Some(guard) = &self.guard {
            guard.stop();
        }
        self.workers.stop(|| {
            if let Some(shortcut) = &self.shared.shortcut {
                // Sockets that JavaScript has still hold the namespace, and it the pair.
                self.namespace.run(|inside| inside.leave_shortcut());
                shortcut.leave();
            }
        });
        self.namespace.stop();
        self.own.stop();
    }
}

impl Drop for FaithInterface {
    fn drop(&mut self) {
        self.close();
    }
}
