//! Makes a connection to a server, and drives it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::link::Jobs;
use crate::secure::SecureUpstream;
use crate::tls::{self, CurrentTrust, Trust};
use crate::{doh, stream};

/// The time that one address has to accept a connection.
const CONNECT: Duration = Duration::from_secs(4);

/// The protocol of a connection.
pub(crate) enum Protocol {
    Tcp,
    /// TLS, or HTTPS if the upstream has a path.
    Tls(SecureUpstream, CurrentTrust),
    #[cfg(test)]
    Script(Box<dyn Fn() -> Result<tokio::io::DuplexStream, String>>),
}

impl Protocol {
    /// Makes a connection to the first address that accepts one, and drives it until it ends. An error is a trouble in
    /// words. `complain` hears what is wrong with single responses.
    pub(crate) async fn run(
        &self,
        addresses: &[SocketAddr],
        jobs: &mut Jobs,
        complain: impl Fn(String),
    ) -> Result<(), String> {
        let ended = match self {
            Self::Tcp => {
                let stream = first(addresses, connect).await?;
                jobs.made();
                stream::drive(stream, jobs).await
            }
            Self::Tls(upstream, trust) => {
                let stream = connect_securely(upstream, &trust.load(), addresses).await?;
                jobs.made();
                match uri(upstream) {
                    None => stream::drive(stream, jobs).await,
                    Some(uri) => {
                        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                            return Err("does not offer HTTP/2".to_owned());
                        }
                        doh::drive(stream, &uri, jobs, complain).await
                    }
                }
            }
            #[cfg(test)]
            Self::Script(connect) => {
                let stream = connect()?;
                jobs.made();
                stream::drive(stream, jobs).await
            }
        };
        match ended {
            // Any connection may end; one that never helped is a trouble.
            Err(error) if !jobs.were_heard() => Err(tls::reason(&error)),
            Ok(()) if !jobs.were_heard() => Err("gives no response".to_owned()),
            _ => Ok(()),
        }
    }
}

async fn connect_securely(
    upstream: &SecureUpstream,
    trust: &Trust,
    addresses: &[SocketAddr],
) -> Result<TlsStream<TcpStream>, String> {
    let name: ServerName<'static> = upstream.certified().ok_or("has a name that no certificate can have")?;
    let config = if upstream.path.is_some() { &trust.https } else { &trust.tls };
    let connector = TlsConnector::from(Arc::clone(config));
    let connect = async |address| {
        let stream = connect(address).await?;
        connector.connect(name.clone(), stream).await
    };
    first(addresses, connect).await
}

/// The connection that one of the addresses accepts.
async fn first<T>(
    addresses: &[SocketAddr],
    connect: impl AsyncFn(SocketAddr) -> io::Result<T>,
) -> Result<T, String> {
    let mut trouble = "no other upstream knows its address".to_owned();
    for address in addresses {
        match timeout(CONNECT, connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => trouble = tls::reason(&error),
            Err(_) => "accepts no connection".clone_into(&mut trouble),
        }
    }
    Err(trouble)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn uri(upstream: &SecureUpstream) -> Option<Uri> {
    let path = upstream.path.as_deref()?;
    Uri::builder().scheme("https").authority(upstream.authority()).path_and_query(path).build().ok()
}
