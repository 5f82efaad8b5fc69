//! DNS over HTTPS (RFC 8484): each query is a request, and all share one connection of HTTP/2.

use std::io;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::client::{Builder, SendRequest};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use crate::link::{IDLE, Job, Jobs};
use crate::wire;

/// The media type of a message.
const MESSAGE: &str = "application/dns-message";

/// The longest message.
const LONGEST: usize = 65_535;

/// Sends queries and hands their responses out, until the connection ends or was idle for long. `complain` hears what is
/// wrong with a response.
pub(crate) async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    uri: &Uri,
    jobs: &mut Jobs,
    complain: impl Fn(String),
) -> io::Result<()> {
    let (sender, connection) =
        Builder::new().enable_push(false).handshake(stream).await.map_err(io::Error::other)?;
    let mut connection = std::pin::pin!(connection);
    let mut requests = FuturesUnordered::new();
    let mut active = Instant::now();
    let mut open = true;
    while open || !requests.is_empty() {
        tokio::select! {
            ended = &mut connection => return ended.map_err(io::Error::other),
            job = jobs.next(), if open => match job {
                Some(job) => requests.push(request(sender.clone(), uri, job)),
                None => open = false,
            },
            Some(outcome) = requests.next() => match outcome {
                Outcome::Answered => jobs.heard(),
                Outcome::Unusable(trouble) => {
                    jobs.heard();
                    complain(trouble);
                }
                // The connection's end says why.
                Outcome::Ended => {}
            },
            () = sleep_until(active + IDLE) => return Ok(()),
        }
        active = Instant::now();
    }
    Ok(())
}

/// The end of a request.
enum Outcome {
    Answered,
    /// The server answered with something else than a message.
    Unusable(String),
    /// The stream ended, or the caller has given up.
    Ended,
}

async fn request(sender: SendRequest<Bytes>, uri: &Uri, Job { query, mut reply }: Job) -> Outcome {
    let answered = tokio::select! {
        // The stream is reset.
        () = reply.closed() => return Outcome::Ended,
        answered = exchange(sender, uri, query) => answered,
    };
    match answered {
        Ok(Ok(message)) => {
            let _ = reply.send(message);
            Outcome::Answered
        }
        Ok(Err(trouble)) => Outcome::Unusable(trouble),
        Err(_) => Outcome::Ended,
    }
}

/// A message, or what the server sent instead.
async fn exchange(
    sender: SendRequest<Bytes>,
    uri: &Uri,
    mut query: Vec<u8>,
) -> Result<Result<Vec<u8>, String>, h2::Error> {
    // The same query is the same request to caches (RFC 8484 section 4.1).
    wire::set_word(&mut query, 0, 0);
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    for name in [CONTENT_TYPE, ACCEPT] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(MESSAGE));
    }
    let (response, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(query.into(), true)?;
    let response = response.await?;
    if let Some(trouble) = trouble(&response) {
        return Ok(Err(trouble));
    }
    let mut body = response.into_body();
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        if message.len() + part.len() > LONGEST {
            return Ok(Err("sends responses that are too long".to_owned()));
        }
        body.flow_control().release_capacity(part.len())?;
        message.extend_from_slice(&part);
    }
    Ok(Ok(message))
}

fn trouble<T>(response: &Response<T>) -> Option<String> {
    let status = response.status();
    if status != StatusCode::OK {
        return Some(format!("answers with the HTTP status {status}"));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no type");
    // Parameters may be behind the type.
    let is_message = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MESSAGE));
    (!is_message).then(|| format!("answers with {kind}, not {MESSAGE}"))
}
