//! Queries over TCP, several at a time on one connection (RFC 7766).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};

use crate::forwarder::Forwarder;
use crate::request::{Rejected, Request};

/// The queries of one connection that may be under way at a time. The next one is not read before.
const PIPELINED: usize = 32;

/// The time for which a connection may be silent, and for which a client may take no byte of a response.
const IDLE: Duration = Duration::from_secs(10);

/// The pause after an error of accept(2), such as that no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, forwarder: Rc<Forwarder>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => accept(stream, peer, &forwarder),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn accept(stream: TcpStream, peer: SocketAddr, forwarder: &Rc<Forwarder>) {
    let Some(turn) = forwarder.connect(peer.ip()) else {
        return forwarder.counters.overloaded.add();
    };
    let forwarder = Rc::clone(forwarder);
    tokio::task::spawn_local(async move {
        // An error ends the connection, and so does silence.
        let _ = connection(stream, peer.ip(), &forwarder).await;
        drop(turn);
    });
}

async fn connection(stream: TcpStream, client: IpAddr, forwarder: &Rc<Forwarder>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut queries, responses) = stream.into_split();
    let responses = Rc::new(Mutex::new(responses));
    let places = Arc::new(Semaphore::new(PIPELINED));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let Ok(octets) = timeout(IDLE, read(&mut queries)).await else { break };
        // The end of the queries: the responses that are under way still leave.
        let Ok(octets) = octets else { break };
        forwarder.counters.tcp_queries.add();
        let (forwarder, responses) = (Rc::clone(forwarder), Rc::clone(&responses));
        tokio::task::spawn_local(async move {
            if let Some(response) = answer(&octets, client, &forwarder).await {
                let _ = timeout(IDLE, write(&responses, &response)).await;
            }
            drop(place);
        });
    }
    // The connection counts as open until the last response has left.
    let _ = places.acquire_many(u32::try_from(PIPELINED).unwrap_or(1)).await;
    Ok(())
}

async fn answer(octets: &[u8], client: IpAddr, forwarder: &Forwarder) -> Option<Vec<u8>> {
    match Request::read(octets) {
        Ok(request) => Some(match forwarder.at_once(&request, client) {
            Some(response) => response,
            None => forwarder.answer(&request, client).await,
        }),
        Err(Rejected::Answer(response)) => {
            forwarder.counters.rejected.add();
            Some(response)
        }
        Err(Rejected::Drop) => {
            forwarder.counters.dropped.add();
            None
        }
    }
}

async fn read(queries: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::from(queries.read_u16().await?)];
    queries.read_exact(&mut octets).await?;
    Ok(octets)
}

async fn write(responses: &Mutex<OwnedWriteHalf>, response: &[u8]) -> io::Result<()> {
    let length = u16::try_from(response.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let framed = [&length.to_be_bytes(), response].concat();
    responses.lock().await.write_all(&framed).await
}
