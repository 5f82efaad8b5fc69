use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

use super::drive;
use crate::link::{IDLE, Link};

/// A link over a stream whose other end is the server's.
fn link() -> (Link, DuplexStream, JoinHandle<bool>) {
    let (link, mut jobs) = Link::new();
    let (here, there) = duplex(65_536);
    let end = tokio::task::spawn_local(async move {
        jobs.made();
        drive(here, &mut jobs).await.is_ok()
    });
    (link, there, end)
}

/// A message that has an id and one more octet.
fn message(kind: u8) -> Vec<u8> {
    vec![0, 0, kind]
}

fn ask(link: &Link, kind: u8) -> JoinHandle<Option<u8>> {
    let link = link.clone();
    tokio::task::spawn_local(async move { link.ask(message(kind)).await.map(|response| response[2]) })
}

async fn receive(server: &mut DuplexStream) -> Vec<u8> {
    let mut query = vec![0; usize::from(server.read_u16().await.unwrap())];
    server.read_exact(&mut query).await.unwrap();
    query
}

async fn send(server: &mut DuplexStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap();
    server.write_all(&[&length.to_be_bytes(), message].concat()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn responses_come_in_any_order_and_in_pieces() {
    let test = async {
        let (link, mut server, _) = link();
        let (first, second) = (ask(&link, 1), ask(&link, 2));
        let (one, other) = (receive(&mut server).await, receive(&mut server).await);
        assert_ne!(one[..2], other[..2]);
        // A response to no query is ignored.
        send(&mut server, &[0xff, 0xff, 9]).await;
        send(&mut server, &other).await;
        assert_eq!(second.await.unwrap(), Some(2));
        server.write_all(&[0, 3, one[0]]).await.unwrap();
        tokio::task::yield_now().await;
        server.write_all(&one[1..]).await.unwrap();
        assert_eq!(first.await.unwrap(), Some(1));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let test = async {
        let (link, mut server, end) = link();
        let asked = ask(&link, 1);
        let query = receive(&mut server).await;
        tokio::time::sleep(IDLE / 2).await;
        send(&mut server, &query).await;
        assert_eq!(asked.await.unwrap(), Some(1));
        let since = Instant::now();
        assert!(end.await.unwrap());
        assert_eq!(since.elapsed(), IDLE);
        assert!(!link.is_open());
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_is_the_end_of_its_queries() {
    let test = async {
        let (link, mut server, end) = link();
        let asked = ask(&link, 1);
        receive(&mut server).await;
        drop(server);
        assert_eq!(asked.await.unwrap(), None);
        assert!(end.await.unwrap());
        assert_eq!(link.ask(message(2)).await, None);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_silent_only_while_a_query_waits_for_long() {
    let test = async {
        let (link, mut server, _) = link();
        let asked = ask(&link, 1);
        let query = receive(&mut server).await;
        assert!(!link.is_silent());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(link.is_silent());
        send(&mut server, &query).await;
        assert_eq!(asked.await.unwrap(), Some(1));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!link.is_silent());
    };
    LocalSet::new().run_until(test).await;
}
