//! Serves TCP sockets of the host that another program has made, as inetd(8) and systemd do for the programs they start.
//!
//! One thread accepts and runs the tasks of services, as a worker of an interface does. There is no interface, no pump and
//! no namespace: the host's own TCP carries the packets, so no privilege is needed.

use std::convert::identity;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use faith_packet::classify::{Classifier, Unsupported};
use faith_packet::prefix::{FaithPrefix, PrefixSet};
use faith_sys::host;
use faith_sys::reactor::register_for;
use parking_lot::Mutex;
use socket2::Socket;
use tokio::io::Interest;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;

use crate::accept::{BATCH, REST, accept_one, exhausted};
use crate::error::{FailedCall, StackError};
use crate::guide::Guide;
use crate::own_addresses::OwnAddresses;
use crate::service::{Captured, Prepare, Service};
use crate::thread::{self, Begun};
use crate::warning::{WarningCallback, Warnings};
use crate::watch::{Watch, Watched};

/// The name of its threads, and of its subject in warnings.
const NAME: &str = "sockets";

type Job = Box<dyn FnOnce() + Send>;

/// The thread that serves sockets of the host, and what it knows about the host.
pub struct HostSockets {
    guide: Guide,
    watch: Watch,
    jobs: mpsc::UnboundedSender<Job>,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// A socket of the host, listening or connected.
enum Given {
    Listener(Socket),
    Connection(Captured),
}

impl HostSockets {
    /// Starts the thread. Destinations are mapped by these prefixes.
    ///
    /// # Errors
    /// A prefix overlaps another, the threads cannot be started, or the kernel does not tell the host's addresses.
    pub fn start(prefixes: &[FaithPrefix], warned: WarningCallback) -> Result<Self, StackError> {
        let mut set = PrefixSet::new();
        for prefix in prefixes {
            set.insert(*prefix)?;
        }
        let own = Arc::new(OwnAddresses::unknown());
        let warnings = Warnings::new(NAME, warned);
        let watched = Watched { own: Arc::clone(&own), guard: None, routes: None, watchdog: None, warnings };
        let watch = Watch::start(NAME, watched)
            .map_err(|failed| StackError::failed("watch the host's addresses".to_owned(), failed))?;
        let (jobs, queue) = mpsc::unbounded_channel::<Job>();
        let (stop, stopped) = oneshot::channel();
        let body = move |begun| work(queue, stopped, &begun);
        let ((), thread) = thread::start(format!("{NAME}/0"), identity, body)
            .map_err(|failed| StackError::failed("serve sockets".to_owned(), failed))?;
        let classifier = Classifier::new(set, Unsupported::Drop);
        let guide = Guide { own, classifier: Arc::new(ArcSwap::from_pointee(classifier)) };
        Ok(Self { guide, watch, jobs, thread: Mutex::new(Some((stop, thread))) })
    }

    /// Answers questions about the host and the prefixes.
    #[must_use]
    pub fn guide(&self) -> Guide {
        self.guide.clone()
    }

    /// Gives the connections of these sockets to a service: those that are connected at once, and those that listening ones
    /// accept. `prepare` sets the options of each connection.
    ///
    /// # Errors
    /// A descriptor is not a listening or connected TCP socket of IPv6. No socket is served then.
    pub fn serve(
        &self,
        sockets: Vec<OwnedFd>,
        prepare: Prepare,
        service: Arc<dyn Service>,
    ) -> Result<Accepting, StackError> {
        let given: Vec<_> = sockets.into_iter().map(given).collect::<Result<_, _>>().map_err(unfit)?;
        let (closed, open) = watch::channel(());
        let serving = move || {
            for one in given {
                match one {
                    Given::Connection(connection) => hand_over(connection, prepare, &service),
                    Given::Listener(socket) => {
                        drop(spawn_local(accept(socket, prepare, Arc::clone(&service), open.clone())));
                    }
                }
            }
        };
        // This fails after `close`, when the sockets are closed unserved.
        let _ = self.jobs.send(Box::new(serving));
        Ok(Accepting { closed: Mutex::new(Some(closed)) })
    }

    /// Ends the thread, with the tasks of its services.
    pub fn close(&self) {
        let running = self.thread.lock().take();
        if let Some((stop, thread)) = running {
            // This fails if the thread has ended by itself.
            let _ = stop.send(());
            let _ = thread.join();
        }
        self.watch.stop();
        self.guide.own.forget();
    }
}

impl Drop for HostSockets {
    fn drop(&mut self) {
        self.close();
    }
}

/// The accept loops of sockets that are served. Dropping it ends them.
pub struct Accepting {
    closed: Mutex<Option<watch::Sender<()>>>,
}

impl Accepting {
    /// Accepts no more. Connections in the kernel's queue stay there for as long as another process has the listening
    /// socket.
    pub fn close(&self) {
        drop(self.closed.lock().take());
    }
}

/// Runs jobs and their tasks on the calling thread until it is stopped.
fn work(
    mut queue: mpsc::UnboundedReceiver<Job>,
    mut stopped: oneshot::Receiver<()>,
    begun: &Begun<(), FailedCall>,
) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = match runtime.map_err(FailedCall::of("epoll_create1")) {
        Ok(runtime) => runtime,
        Err(error) => return drop(begun.send(Err(error))),
    };
    let _ = begun.send(Ok(()));
    runtime.block_on(async {
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                job = queue.recv() => match job {
                    Some(job) => job(),
                    None => return,
                },
            }
        }
    });
}

/// Looks at a socket, and makes it non-blocking.
fn given(socket: OwnedFd) -> io::Result<Given> {
    let (destination, client) = host::ends(&socket)?;
    let socket = Socket::from(socket);
    socket.set_nonblocking(true)?;
    Ok(match client {
        None => Given::Listener(socket),
        Some(client) => Given::Connection(Captured { socket: socket.into(), client, destination }),
    })
}

fn unfit(error: io::Error) -> StackError {
    StackError::System {
        what: "serve a socket".to_owned(),
        syscall: "getsockname",
        source: error,
        hint: Some("give a listening or connected TCP socket of IPv6"),
    }
}

/// Gives a connection to the service, on the thread of the tasks.
fn hand_over(
    connection: Captured,
    prepare: fn(BorrowedFd<'_>) -> io::Result<()>,
    service: &Arc<dyn Service>,
) {
    // This cannot fail for a TCP socket.
    if prepare(connection.socket.as_fd()).is_ok() {
        Arc::clone(service).accepted(0, connection);
    }
}

/// Accepts until `open`'s sender is dropped.
async fn accept(socket: Socket, prepare: Prepare, service: Arc<dyn Service>, mut open: watch::Receiver<()>) {
    let Ok(socket) = register_for(Arc::new(socket), Interest::READABLE) else { return };
    loop {
        tokio::select! {
            closed = open.changed() => if closed.is_err() { return },
            ready = socket.readable() => {
                let Ok(mut ready) = ready else { return };
                for _ in 0..BATCH {
                    match accept_one(&socket) {
                        Ok(connection) => hand_over(connection, prepare, &service),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            ready.clear_ready();
                            break;
                        }
                        Err(error) if exhausted(&error) => {
                            if !service.exhausted(&error) {
                                tokio::time::sleep(REST).await;
                                break;
                            }
                        }
                        // The client gave up before the accept (accept(2)); try the next connection.
                        Err(_) => {}
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }
}
