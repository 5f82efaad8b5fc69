//! The sockets of a session that a route stands between.
//!
//! The session joins the client with one end of a pair of sockets, and the route gets the other end and the server's
//! connection. So the session has its limits, its idle time and its record like any other, and the route may read and write
//! as it likes. The pair is one of TCP over loopback, because sessions and splices need TCP on both sides.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::time::Duration;

use faith_stack::Captured;
use faith_sys::tcp::{self, Connection};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longest time that loopback may take. Only a firewall of the host's own makes it late.
const LONGEST: Duration = Duration::from_secs(2);

/// The two connections for the route.
#[derive(Debug)]
pub(crate) struct Between {
    client: Connection,
    server: Connection,
}

impl Between {
    /// Puts the route before `server`. Returns the connection that takes the server's place in the session too.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and connect(2); `ETIMEDOUT` if the host drops the packets of its loopback.
    pub(crate) async fn new(server: AsyncFd<Connection>) -> io::Result<(Connection, Self)> {
        // The server may wait for this before it speaks, and the session acknowledges only the pair.
        tcp::acknowledge(&server)?;
        let (inner, client) = timeout(LONGEST, pair()).await.unwrap_or_else(|_| Err(tcp::timed_out()))?;
        Ok((inner, Self { client, server: server.into_inner() }))
    }

    /// The connection to the server.
    pub(crate) const fn server(&self) -> &Connection {
        &self.server
    }

    /// The route's end of the pair, as if it were the connection of `client`, and the server's connection.
    ///
    /// # Errors
    /// Those of [`Connection::give_up`].
    pub(crate) fn give_up(
        self,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) -> io::Result<(Captured, OwnedFd)> {
        let (socket, server) = (self.client.give_up()?, self.server.give_up()?);
        // Urgent bytes, as of an interrupt of telnet, must reach the route too.
        tcp::keep_urgent_in_line(&socket)?;
        tcp::keep_urgent_in_line(&server)?;
        Ok((Captured { socket, client, destination }, server))
    }
}

/// Makes two TCP sockets that are connected to each other.
async fn pair() -> io::Result<(Connection, Connection)> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let one = TcpStream::connect(listener.local_addr()?).await?;
    let own = one.local_addr()?;
    let other = loop {
        // Another program of this host may have connected first.
        let (other, from) = listener.accept().await?;
        if from == own {
            break other;
        }
    };
    Ok((connection(one)?, connection(other)?))
}

fn connection(stream: TcpStream) -> io::Result<Connection> {
    let connection = Connection::new(OwnedFd::from(stream.into_std()?));
    tcp::prepare_leg(&connection)?;
    tcp::send_at_once(&connection)?;
    Ok(connection)
}
