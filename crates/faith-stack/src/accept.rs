//! The accept loops of listeners: one task per listening socket, on the socket's worker.

use std::io;
use std::net::SocketAddrV6;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use faith_sys::reactor::register_for;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::lane::Lane;
use crate::listener::{Listener, State};
use crate::service::Captured;

/// The number of connections accepted before other tasks of the worker get their turn.
pub(crate) const BATCH: usize = 64;

/// The accept loop pauses this long when the process is out of descriptors or memory. Connections wait in the kernel's
/// queue meanwhile.
pub(crate) const REST: Duration = Duration::from_millis(50);

/// Accepts on `socket` for `listener`, until the listener is closed or `evicted`'s sender is dropped.
pub(crate) async fn accept(
    lane: Rc<Lane>,
    listener: Arc<Listener>,
    socket: Arc<Socket>,
    mut evicted: Option<watch::Receiver<()>>,
) {
    let Ok(socket) = register_for(socket, Interest::READABLE) else { return };
    let mut state = listener.state.subscribe();
    let worker = lane.worker;
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
                // Connections that the kernel has completed for this port still belong to the listener.
                while let Ok(connection) = accept_one(&socket) {
                    Arc::clone(&listener.service).accepted(worker, connection);
                }
                return;
            }
            ready = socket.readable() => {
                let Ok(mut ready) = ready else { return };
                lane.newcomers.notify_one();
                for _ in 0..BATCH {
                    match accept_one(&socket) {
                        Ok(connection) => Arc::clone(&listener.service).accepted(worker, connection),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            ready.clear_ready();
                            lane.shared.accepted(worker);
                            break;
                        }
                        Err(error) if exhausted(&error) => {
                            if !listener.service.exhausted(&error) {
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

pub(crate) fn accept_one(socket: &AsyncFd<Arc<Socket>>) -> io::Result<Captured> {
    let (connection, client) =
        rustix::net::acceptfrom_with(socket.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let mut client: SocketAddrV6 = client.ok_or(io::ErrorKind::NotConnected)?.try_into()?;
    // The scope of a link-local client names the stack's device. A held SYN has no scope.
    client.set_scope_id(0);
    let destination = rustix::net::getsockname(&connection)?.try_into()?;
    Ok(Captured { socket: connection, client, destination })
}

pub(crate) fn exhausted(error: &io::Error) -> bool {
    Errno::from_io_error(error)
        .is_some_and(|errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
