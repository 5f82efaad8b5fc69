//! DNS over TCP (RFC 7766) or TLS (RFC 7858): many queries on one connection, and their responses in any order.

use std::collections::HashMap;
use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until, timeout};

use crate::ask;
use crate::link::{IDLE, Job, Jobs, Reply};
use crate::wire;

/// The most queries that wait on one connection: half of the ids.
const MOST: usize = 0x8000;

/// Sends queries and hands their responses out, until the connection ends or was idle for long.
pub(crate) async fn drive(stream: impl AsyncRead + AsyncWrite, jobs: &mut Jobs) -> io::Result<()> {
    let (mut reader, mut writer) = split(stream);
    let mut received = BytesMut::new();
    let mut waiting = Waiting::default();
    let mut active = Instant::now();
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            job = jobs.next(), if open => {
                let Some(job) = job else {
                    open = false;
                    continue;
                };
                let mut framed = Vec::new();
                waiting.add(job, &mut framed);
                while let Some(job) = jobs.waiting() {
                    waiting.add(job, &mut framed);
                }
                timeout(IDLE, write(&mut writer, &framed)).await??;
            }
            length = reader.read_buf(&mut received) => {
                if length? == 0 {
                    return Ok(());
                }
                while let Some(message) = take(&mut received) {
                    waiting.answer(message);
                }
                jobs.heard();
            }
            () = sleep_until(active + IDLE) => break,
        }
        active = Instant::now();
        waiting.prune();
    }
    timeout(IDLE, writer.shutdown()).await?
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> io::Result<()> {
    writer.write_all(octets).await?;
    writer.flush().await
}

/// Takes a whole message off the front of what came.
fn take(received: &mut BytesMut) -> Option<Vec<u8>> {
    let length = usize::from(wire::word(received, 0)?);
    let message = received.get(2..)?.get(..length)?.to_vec();
    received.advance(2 + length);
    Some(message)
}

/// The queries without a response, by the ids that they have on this connection.
#[derive(Default)]
struct Waiting {
    replies: HashMap<u16, Reply>,
}

impl Waiting {
    /// Appends a query under a random id of its own. Where ids are scarce it is dropped, and so is its reply.
    fn add(&mut self, Job { mut query, reply }: Job, framed: &mut Vec<u8>) {
        let Ok(length) = u16::try_from(query.len()) else { return };
        if self.replies.len() >= MOST {
            return;
        }
        let mut id = ask::random_id();
        while self.replies.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        wire::set_word(&mut query, 0, id);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&query);
        self.replies.insert(id, reply);
    }

    /// Hands a response out. Nothing waits for one that comes too late.
    fn answer(&mut self, message: Vec<u8>) {
        if let Some(reply) = wire::word(&message, 0).and_then(|id| self.replies.remove(&id)) {
            let _ = reply.send(message);
        }
    }

    /// Forgets queries whose callers have given up.
    fn prune(&mut self) {
        self.replies.retain(|_, reply| !reply.is_closed());
    }

    fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }
}

#[cfg(test)]
mod tests;
