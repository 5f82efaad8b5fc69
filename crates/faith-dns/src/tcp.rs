//! Queries over TCP and TLS, several at a time on one connection (RFC 7766, RFC 7858).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::forwarder::Forwarder;
use crate::request::{Rejected, Request};
use crate::wire;

/// The queries of one connection that may be under way at a time. The next one is not read before.
const PIPELINED: usize = 32;

/// The time for which a connection may be silent, and for which a client may take no byte of a response.
const IDLE: Duration = Duration::from_secs(10);

/// The pause after an error of accept(2), such as that no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// The block whose multiple a response over TLS is as long as, for a client that pads (RFC 8467 section 4.1).
const BLOCK: usize = 468;

/// The certificate of the connections that begin from now on.
pub(crate) type Secret = Arc<ArcSwap<ServerConfig>>;

/// Accepts connections until the task is dropped, over TLS if there is a certificate.
pub(crate) async fn serve(listener: TcpListener, secret: Option<Secret>, forwarder: Rc<Forwarder>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => accept(stream, peer, secret.as_ref(), &forwarder),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn accept(stream: TcpStream, peer: SocketAddr, secret: Option<&Secret>, forwarder: &Rc<Forwarder>) {
    let Some(turn) = forwarder.connect(peer.ip()) else {
        return forwarder.counters.overloaded.add();
    };
    let forwarder = Rc::clone(forwarder);
    let acceptor = secret.map(|secret| TlsAcceptor::from(secret.load_full()));
    tokio::task::spawn_local(async move {
        // An error ends the connection, and so does silence.
        let _ = begin(stream, peer.ip(), acceptor, &forwarder).await;
        drop(turn);
    });
}

async fn begin(
    stream: TcpStream,
    client: IpAddr,
    acceptor: Option<TlsAcceptor>,
    forwarder: &Rc<Forwarder>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(acceptor) = acceptor else {
        let (queries, responses) = stream.into_split();
        connection(queries, responses, client, false, forwarder).await;
        return Ok(());
    };
    let stream = timeout(IDLE, acceptor.accept(stream)).await??;
    let (queries, responses) = tokio::io::split(stream);
    connection(queries, responses, client, true, forwarder).await;
    Ok(())
}

async fn connection(
    mut queries: impl AsyncRead + Unpin,
    responses: impl AsyncWrite + Unpin + 'static,
    client: IpAddr,
    secure: bool,
    forwarder: &Rc<Forwarder>,
) {
    let responses = Rc::new(Mutex::new(responses));
    let places = Arc::new(Semaphore::new(PIPELINED));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok(octets) = timeout(IDLE, read(&mut queries)).await else { break };
        // The end of the queries: the responses that are under way still leave.
        let Ok(octets) = octets else { break };
        let counters = &forwarder.counters;
        if secure {
            counters.tls_queries.add();
        } else {
            counters.tcp_queries.add();
        }
        let (forwarder, responses) = (Rc::clone(forwarder), Rc::clone(&responses));
        tokio::task::spawn_local(async move {
            if let Some(response) = answer(&octets, client, secure, &forwarder).await {
                let _ = timeout(IDLE, write(&responses, &response)).await;
            }
            drop(place);
        });
    }
    // The connection counts as open until the last response has left.
    let _ = places.acquire_many(u32::try_from(PIPELINED).unwrap_or(1)).await;
    // TLS tells the client of the end; a client that takes nothing is not waited for.
    let _ = timeout(IDLE, async { responses.lock().await.shutdown().await }).await;
}

async fn answer(octets: &[u8], client: IpAddr, secure: bool, forwarder: &Forwarder) -> Option<Vec<u8>> {
    match Request::read(octets) {
        Ok(request) => {
            let mut response = match forwarder.at_once(&request, client) {
                Some(response) => response,
                None => forwarder.answer(&request, client).await,
            };
            if secure && request.edns.is_some_and(|edns| edns.padded) {
                wire::pad(&mut response, BLOCK);
            }
            Some(response)
        }
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

async fn read(queries: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::from(queries.read_u16().await?)];
    queries.read_exact(&mut octets).await?;
    Ok(octets)
}

async fn write(responses: &Mutex<impl AsyncWrite + Unpin>, response: &[u8]) -> io::Result<()> {
    let length = u16::try_from(response.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let framed = [&length.to_be_bytes(), response].concat();
    let mut responses = responses.lock().await;
    responses.write_all(&framed).await?;
    responses.flush().await
}
