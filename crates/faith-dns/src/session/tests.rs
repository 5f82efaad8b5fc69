use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::{Duration, Instant, sleep};

use super::*;
use crate::ask::Ask;
use crate::counters::Counters;
use crate::open_gate::OpenGate;
use crate::peer::{Peer, Way};
use crate::settings::Gate;
use crate::upstream::Upstream;
use crate::wire;

/// A server, which a test makes reachable or not.
struct Server {
    /// The reason why it accepts no connection.
    trouble: RefCell<Option<String>>,
    /// The seconds at which connections were tried.
    tried: RefCell<Vec<u64>>,
}

fn server(trouble: Option<&str>) -> Rc<Server> {
    let trouble = RefCell::new(trouble.map(str::to_owned));
    Rc::new(Server { trouble, tried: RefCell::default() })
}

/// Connects to this server.
fn protocol(server: &Rc<Server>) -> Protocol {
    let (server, since) = (Rc::clone(server), Instant::now());
    Protocol::Script(Box::new(move || {
        server.tried.borrow_mut().push(since.elapsed().as_secs());
        if let Some(trouble) = server.trouble.borrow().clone() {
            return Err(trouble);
        }
        let (here, there) = duplex(65_536);
        tokio::task::spawn_local(answer(there));
        Ok(here)
    }))
}

fn find() -> Find {
    Box::new(|| ready(Vec::new()).boxed_local())
}

/// An upstream that is asked by a session with this server, and the gate that hears of its troubles.
fn upstream(server: &Rc<Server>) -> (Rc<Peer>, Arc<OpenGate>) {
    let gate = OpenGate::new();
    let way =
        |health: &Rc<Health>| Way::Secure(Session::new(protocol(server), find(), Some(Rc::clone(health))));
    let upstream = Upstream::Secure("tls://192.0.2.1".parse().unwrap());
    let told = Arc::<OpenGate>::clone(&gate) as Arc<dyn Gate>;
    (Peer::new(upstream, &told, &Arc::<Counters>::default(), way), gate)
}

/// Answers each query with itself.
async fn answer(mut stream: DuplexStream) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        wire::set_word(&mut message, 2, wire::RESPONSE);
        stream.write_all(&[&length.to_be_bytes()[..], &message].concat()).await?;
    }
}

async fn asks(peer: &Peer) -> bool {
    peer.ask(&Ask::root(), Duration::from_secs(10)).await.is_some()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_asked_is_tried_after_pauses_that_grow() {
    let test = async {
        let server = server(Some("the certificate has expired"));
        let (peer, gate) = upstream(&server);
        assert!(!peer.rests());
        assert!(!asks(&peer).await);
        assert!(peer.rests());
        sleep(Duration::from_secs(100)).await;
        assert_eq!(*server.tried.borrow(), [0, 1, 3, 7, 15, 31, 61, 91]);
        assert_eq!(gate.troubles(), ["the certificate has expired"]);

        // Another reason is told, too.
        *server.trouble.borrow_mut() = Some("accepts no connection".to_owned());
        sleep(Duration::from_secs(30)).await;
        assert_eq!(gate.troubles()[1..], ["accepts no connection"]);
        assert!(peer.rests());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_works_again_is_found_without_a_client() {
    let test = async {
        let server = server(Some("accepts no connection"));
        let (peer, gate) = upstream(&server);
        assert!(!asks(&peer).await);
        *server.trouble.borrow_mut() = None;
        sleep(Duration::from_secs(2)).await;
        assert!(!peer.rests());
        assert_eq!(gate.troubles(), ["accepts no connection", "answers"]);
        assert!(asks(&peer).await);
        assert_eq!(*server.tried.borrow(), [0, 1], "the connection of the try is used");

        // The next outage begins anew. The connection ends after its idle time.
        sleep(Duration::from_mins(1)).await;
        *server.trouble.borrow_mut() = Some("accepts no connection".to_owned());
        assert!(!asks(&peer).await);
        sleep(Duration::from_secs(4)).await;
        assert_eq!(server.tried.borrow()[2..], [62, 63, 65]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_server_that_is_asked_over_udp_tries_nothing() {
    let test = async {
        let server = server(Some("accepts no connection"));
        let session = Session::new(protocol(&server), find(), None);
        let ask = Ask::root();
        for _ in 0..3 {
            assert!(session.exchange(ask.padded_query(), &ask.question).await.is_err());
        }
        sleep(Duration::from_mins(1)).await;
        assert_eq!(*server.tried.borrow(), [0, 0, 0]);
    };
    LocalSet::new().run_until(test).await;
}
