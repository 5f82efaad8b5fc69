//! Adds listeners to an interface.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::Arc;

use faith_packet::ports::PortSet;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::FaithInterface;
use crate::accept::accept;
use crate::datagrams::{BeginDatagrams, Carried, Place};
use crate::datagrams_handle::DatagramsHandle;
use crate::error::StackError;
use crate::handle::ListenerHandle;
use crate::hold::Hold;
use crate::keepfaith::keepfaith;
use crate::lane::Lane;
use crate::listener::{Listener, Reach, State};
use crate::on_demand::OnDemand;
use crate::service::{ListenOptions, Service};
use crate::sockets::{AcceptQueue, listening_group};
use crate::steer::RuleId;
use crate::warning;

impl FaithInterface {
    /// Takes connections for `service` from now on. Blocks briefly.
    ///
    /// # Errors
    /// keepfaith is off, another listener has a port, the address is inside no prefix, sockets or steering rules ran out,
    /// or the interface is closed.
    pub fn listen(
        &self,
        options: ListenOptions,
        service: Arc<dyn Service>,
    ) -> Result<ListenerHandle, StackError> {
        let open = self.opened()?;
        let ListenOptions { ports, address, backlog, prepare, hold } = options;
        self.check_address(address)?;
        let listeners = self.shared.listeners.load_full();
        if let Some(taken) = listeners.taken(address, &ports) {
            let address = address.unwrap_or(Ipv6Addr::UNSPECIFIED);
            return Err(StackError::PortTaken { address, taken });
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
            self.workers.run(worker, move |lane| {
                tokio::task::spawn_local(accept(Rc::clone(lane), listener, socket, None));
            });
        }
        // `relist` reads the list again, because other listeners may have been closed meanwhile.
        self.shared.relist(|listeners| listeners.with(&listener));
        drop(open);
        Ok(ListenerHandle {
            listener,
            rule: Mutex::new(rule),
            shared: Arc::clone(&self.shared),
            namespace: Arc::clone(&self.namespace),
        })
    }

    /// Gives these packets, those to `address` alone if it is given, to the parts that `begin` makes: one for each worker.
    /// Datagrams and echo requests without such a relay are treated as unsupported.
    ///
    /// # Errors
    /// keepfaith is off, another relay of datagrams has a port or takes echo requests, the address is inside no prefix, or the interface is closed.
    pub fn receive_datagrams(
        &self,
        carried: impl Into<Carried>,
        address: Option<Ipv6Addr>,
        begin: &BeginDatagrams,
    ) -> Result<DatagramsHandle, StackError> {
        let open = self.opened()?;
        self.check_address(address)?;
        let carried = carried.into();
        let mut places = self.shared.places.lock();
        if let Some(taken) = places.iter().find_map(|place| place.taken(address, &carried)) {
            let address = address.unwrap_or(Ipv6Addr::UNSPECIFIED);
            return Err(match taken {
                Carried::Udp(taken) => StackError::PortTaken { address, taken },
                Carried::Echo => StackError::EchoTaken { address },
            });
        }
        self.shared.open_icmp();
        let place = Place::new(address, carried);
        places.push(Arc::clone(&place));
        drop(places);
        for worker in 0..self.workers.count() {
            let (place, begin) = (Arc::clone(&place), Arc::clone(begin));
            self.workers.run(worker, move |lane| {
                let part = begin(Rc::<Lane>::clone(lane));
                lane.parts.borrow_mut().add(place, part);
            });
        }
        drop(open);
        Ok(DatagramsHandle { place, shared: Arc::clone(&self.shared), workers: Arc::clone(&self.workers) })
    }

    /// Warns that a relay of echo requests can send none.
    pub fn warn_of_no_echo(&self, error: io::Error) {
        self.shared.warnings.send(warning::Kind::NoEcho(Arc::new(error)));
    }

    /// Checks that listeners may be added at this address.
    fn check_address(&self, address: Option<Ipv6Addr>) -> Result<(), StackError> {
        if !keepfaith() {
            return Err(StackError::Keepfaith);
        }
        match address {
            Some(address) if self.prefixes().find(&address).is_none() => {
                Err(StackError::AddressOutside { interface: self.shared.name.clone(), address })
            }
            _ => Ok(()),
        }
    }

    /// Makes the sockets of a listener, or the opener that makes them on demand.
    fn reach(
        &self,
        address: Option<Ipv6Addr>,
        ports: &PortSet,
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
                let bound = address.unwrap_or(Ipv6Addr::UNSPECIFIED);
                return listening_group(bound, single.unwrap_or(0), queue, count)
                    .map(|group| (group, None))
                    .map_err(|error| StackError::system("listen inside the namespace", "bind", error));
            };
            // The sockets are bound to loopback, so that only the steering program leads to them.
            let group = listening_group(Ipv6Addr::LOCALHOST, 0, queue, count)
                .map_err(|error| StackError::system("listen inside the namespace", "bind", error))?;
            let rule = match group.first() {
                Some(socket) => {
                    let rule = steering.add(address, &wanted, socket.as_fd());
                    Some(rule.map_err(|error| error.of_ports(&wanted))?)
                }
                None => None,
            };
            Ok((group, rule))
        });
        let (group, rule) = made.ok_or_else(|| self.closed())??;
        Ok((Reach::Always(Mutex::new(group)), rule))
    }
}
