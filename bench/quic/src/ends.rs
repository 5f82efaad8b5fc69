// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two ends. A transfer is one stream of one connection, which the client opens:
//!
//! - up: the client sends the order and the bytes; the server answers the end of them with their number.
//! - down: the client sends the order; the server sends the bytes, and after their end, on a stream of its own, what it
//!   has sent and lost.
//!
//! An order is the way and the time in milliseconds.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, TokioRuntime, TransportConfig,
};
use rustix::net::sockopt;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::options::{Order, Way};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The name in the certificate.
const NAME: &str = "server.example.net";
/// The buffers of sockets, as those of the benchmark's other load of datagrams.
const BUFFER: usize = 8 << 20;
/// Bytes under way at most. It is more than any path of the benchmark holds, so the congestion control decides.
const WINDOW: u32 = 16 << 20;
static BLOCK: [u8; 64 << 10] = [0; 64 << 10];

/// Datagrams of the sender.
struct Sent {
    sent: u64,
    lost: u64,
}

pub(crate) async fn serve(port: u16, certificate: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.into()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let shown = CertificateDer::from(made.cert);
    std::fs::write(certificate, &shown)?;
    let mut config = quinn::ServerConfig::with_single_cert(vec![shown], key.into())?;
    config.transport_config(transport());
    let endpoint = endpoint((Ipv4Addr::UNSPECIFIED, port).into(), Some(config))?;
    println!("listening");
    // One transfer after the other: the benchmark runs no two at once.
    while let Some(incoming) = endpoint.accept().await {
        if let Err(error) = answer(incoming).await {
            eprintln!("quic-load: {error}");
        }
    }
    Ok(())
}

async fn answer(incoming: Incoming) -> Result<()> {
    let connection = incoming.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut order = [0; 9];
    receive.read_exact(&mut order).await?;
    let [way, time @ ..] = order;
    if way == b'u' {
        send.write_all(&count(&mut receive).await?.to_be_bytes()).await?;
        send.finish()?;
    } else {
        push(&mut send, Duration::from_millis(u64::from_be_bytes(time))).await?;
        let Sent { sent, lost } = sent(&connection);
        let mut told = connection.open_uni().await?;
        told.write_all(&sent.to_be_bytes()).await?;
        told.write_all(&lost.to_be_bytes()).await?;
        told.finish()?;
    }
    // The client closes the connection when it has everything.
    connection.closed().await;
    Ok(())
}

pub(crate) async fn transfer(order: &Order) -> Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(std::fs::read(&order.certificate)?))?;
    let mut config = quinn::ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport());
    let local: SocketAddr = match order.target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = endpoint(local, None)?;
    let connection = endpoint.connect_with(config, order.target, NAME)?.await?;
    let begin = Instant::now();
    let (mut send, mut receive) = connection.open_bi().await?;
    let letter = if order.way == Way::Up { b'u' } else { b'd' };
    send.write_all(&[letter]).await?;
    send.write_all(&u64::try_from(order.time.as_millis())?.to_be_bytes()).await?;
    let (bytes, seconds, Sent { sent, lost }) = match order.way {
        Way::Up => {
            push(&mut send, order.time).await?;
            let bytes = number(&mut receive).await?;
            (bytes, begin.elapsed(), sent(&connection))
        }
        Way::Down => {
            send.finish()?;
            let bytes = count(&mut receive).await?;
            let seconds = begin.elapsed();
            let mut told = connection.accept_uni().await?;
            (bytes, seconds, Sent { sent: number(&mut told).await?, lost: number(&mut told).await? })
        }
    };
    connection.close(0_u8.into(), b"");
    endpoint.wait_idle().await;
    let (seconds, mtu) = (seconds.as_secs_f64(), connection.stats().path.current_mtu);
    println!(r#"{{"seconds":{seconds:.3},"bytes":{bytes},"sent":{sent},"lost":{lost},"mtu":{mtu}}}"#);
    Ok(())
}

/// Sends as many bytes as possible until the time is over, and ends the stream.
async fn push(stream: &mut SendStream, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        stream.write_chunk(Bytes::from_static(&BLOCK)).await?;
    }
    Ok(stream.finish()?)
}

/// Counts the bytes until the end of the stream.
async fn count(stream: &mut RecvStream) -> Result<u64> {
    let mut bytes = 0;
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
        bytes += chunk.bytes.len() as u64;
    }
    Ok(bytes)
}

async fn number(stream: &mut RecvStream) -> Result<u64> {
    let mut octets = [0; 8];
    stream.read_exact(&mut octets).await?;
    Ok(u64::from_be_bytes(octets))
}

fn sent(connection: &Connection) -> Sent {
    let path = connection.stats().path;
    Sent { sent: path.sent_packets, lost: path.lost_packets }
}

fn endpoint(address: SocketAddr, server: Option<quinn::ServerConfig>) -> Result<Endpoint> {
    let socket = UdpSocket::bind(address)?;
    // Works for root alone; the benchmark runs as root.
    if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, BUFFER)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, BUFFER).is_err() {
        sockopt::set_socket_send_buffer_size(&socket, BUFFER)?;
    }
    Ok(Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))?)
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.stream_receive_window(WINDOW.into()).receive_window(WINDOW.into()).send_window(WINDOW.into());
    Arc::new(config)
}
