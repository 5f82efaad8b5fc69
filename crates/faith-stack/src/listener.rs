//! Faith listeners: which ports and addresses are whose, and the loops that accept for them.

use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddrV6};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faith_packet::ports::PortSet;
use faith_sys::reactor::register_for;
use rustix::net::SocketFlags;
use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::held::Hold;
use crate::on_demand::OnDemand;
use crate::pump::Pump;
use crate::service::{Captured, Service};

/// Connections accepted before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// How long accepting rests when the process is out of descriptors or memory; the connections wait in the
/// kernel's queue.
const REST: Duration = Duration::from_millis(50);

/// One listener of an interface.
pub(crate) struct Listener {
    pub(crate) address: Option<Ipv6Addr>,
    pub(crate) ports: PortSet,
    pub(crate) hold: Option<Arc<Hold>>,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) reach: Reach,
    pub(crate) state: watch::Sender<State>,
}

impl Listener {
    /// Ends the accept loops. No SYN is answered any more when this returns; what waits in the kernel's queues is
    /// reset.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
        match &self.reach {
            Reach::Always(group) => lock(group).drain(..).for_each(|socket| stop(&socket)),
            Reach::OnDemand(sockets) => sockets.close(),
        }
    }

    /// Whether the pump has anything to do with its SYNs but to pass them on.
    fn looks_at_syns(&self) -> bool {
        self.hold.is_some() || matches!(self.reach, Reach::OnDemand(_))
    }

    /// Those of its sockets that there always are, a worker's each.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        match &self.reach {
            Reach::Always(group) => lock(group).clone(),
            Reach::OnDemand(_) => Vec::new(),
        }
    }
}

fn lock(group: &Mutex<Vec<Arc<Socket>>>) -> MutexGuard<'_, Vec<Arc<Socket>>> {
    group.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a SYN comes to a listening socket.
pub(crate) enum Reach {
    /// There is always one: bound to the port, or steered to by the `sk_lookup` program. These are they, a worker's
    /// each, until the listener is closed.
    Always(Mutex<Vec<Arc<Socket>>>),
    /// One is made when the first SYN to a port comes.
    OnDemand(Arc<OnDemand>),
}

/// What the accept loops of a listener do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Accepting,
    Paused,
    Closed,
}

/// The listeners of an interface: no two take the same port of the same address.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<Listener>>);

impl Listeners {
    /// Whose a connection to `destination` is: an exact address wins over the wildcard.
    pub(crate) fn find(&self, destination: &SocketAddrV6) -> Option<&Arc<Listener>> {
        let takes = |address: Option<Ipv6Addr>| {
            self.0.iter().find(move |listener| {
                listener.address == address && listener.ports.contains(destination.port())
            })
        };
        takes(Some(*destination.ip())).or_else(|| takes(None))
    }

    /// Whether a listener has one of `ports` of that very address, or of the wildcard.
    pub(crate) fn taken(&self, address: Option<Ipv6Addr>, ports: &PortSet) -> bool {
        self.0.iter().any(|listener| listener.address == address && listener.ports.intersects(ports))
    }

    pub(crate) fn with(&self, listener: &Arc<Listener>) -> Self {
        Self(self.0.iter().chain([listener]).cloned().collect())
    }

    pub(crate) fn without(&self, listener: &Arc<Listener>) -> Self {
        Self(self.0.iter().filter(|other| !Arc::ptr_eq(other, listener)).cloned().collect())
    }

    /// Whether the pump has anything to do with SYNs but to pass them on.
    pub(crate) fn look_at_syns(&self) -> bool {
        self.0.iter().any(|listener| listener.looks_at_syns())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.0.iter()
    }
}

/// Has a socket listen no more, at once: its accept loop has it too, and closes it when its worker comes to that.
pub(crate) fn stop(socket: &Socket) {
    // One that has failed listens no more either.
    let _ = socket.shutdown(Shutdown::Read);
}

/// Accepts on `socket` for `listener` until it is closed or `evicted`'s sender is dropped.
pub(crate) async fn accept(
    pump: Rc<Pump>,
    listener: Arc<Listener>,
    socket: Arc<Socket>,
    mut evicted: Option<watch::Receiver<()>>,
) {
    let Ok(socket) = register_for(socket, Interest::READABLE) else { return };
    let mut state = listener.state.subscribe();
    let worker = pump.worker;
    loop {
        match state.wait_for(|state| *state != State::Paused).await.map(|state| *state) {
            Ok(State::Accepting) => {}
            _ => return,
        }
        let evicting = async {
            match &mut evicted {
                Some(evicted) => while evicted.changed().await.is_ok() {},
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = state.changed() => {}
            () = evicting => {
                // What the kernel has accepted for this port is still ours.
                while let Ok(connection) = accept_one(&socket) {
                    Arc::clone(&listener.service).accepted(worker, connection);
                }
                return;
            }
            ready = socket.readable() => {
                let Ok(mut ready) = ready else { return };
                pump.newcomers.notify_one();
                for _ in 0..BATCH {
                    match accept_one(&socket) {
                        Ok(connection) => Arc::clone(&listener.service).accepted(worker, connection),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            ready.clear_ready();
                            pump.shared.accepted(worker);
                            break;
                        }
                        Err(error) if exhausted(&error) => {
                            if !listener.service.exhausted(&error) {
                                tokio::time::sleep(REST).await;
                                break;
                            }
                        }
                        // The client gave up before it was accepted (accept(2)): the next one may not have.
                        Err(_) => {}
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

fn accept_one(socket: &AsyncFd<Arc<Socket>>) -> io::Result<Captured> {
    let (connection, client) =
        rustix::net::acceptfrom_with(socket.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let mut client: SocketAddrV6 = client.ok_or(io::ErrorKind::NotConnected)?.try_into()?;
    // The scope of a link-local client names the stack's device; the held SYN has none.
    client.set_scope_id(0);
    let destination = rustix::net::getsockname(&connection)?.try_into()?;
    Ok(Captured { socket: connection, client, destination })
}

fn exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error)
        .is_some_and(|errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
