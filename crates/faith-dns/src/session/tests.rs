use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::*;
use crate::wire;

/// A server, which a test makes reachable or not.
struct Server {
    /// The reason why it accepts no connection.
    trouble: RefCell<Option<String>>,
    /// The seconds at which connections were tried.
    tried: RefCell<Vec<u64>>,
    /// The reports, with `answers` in the place of no trouble.
    reports: RefCell<Vec<String>>,
}

fn server(trouble: Option<&str>) -> Rc<Server> {
    let trouble = RefCell::new(trouble.map(str::to_owned));
    Rc::new(Server { trouble, tried: RefCell::default(), reports: RefCell::default() })
}

/// A session with this server.
fn session(server: &Rc<Server>, reports: bool) -> Rc<Session> {
    let since = Instant::now();
    let of_connections = Rc::clone(server);
    let connect = move || {
        of_connections.tried.borrow_mut().push(since.elapsed().as_secs());
        if let Some(trouble) = of_connections.trouble.borrow().clone() {
            return Err(trouble);
        }
        let (here, there) = duplex(65_536);
        tokio::task::spawn_local(answer(there));
        Ok(here)
    };
    let of_reports = Rc::clone(server);
    let report = move |trouble: Option<&str>| {
        of_reports.reports.borrow_mut().push(trouble.unwrap_or("answers").to_owned());
    };
    let find = || ready(Vec::new()).boxed_local();
    let report = reports.then(|| Box::new(report) as Report);
    Session::new(Protocol::Script(Box::new(connect)), Box::new(find), report)
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

async fn asks(session: &Rc<Session>) -> bool {
    let ask = Ask::root();
    session.exchange(ask.padded_query(), &ask.question).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_asked_is_tried_after_pauses_that_grow() {
    let test = async {
        let server = server(Some("the certificate has expired"));
        let session = session(&server, true);
        assert!(!session.rests());
        assert!(!asks(&session).await);
        assert!(session.rests());
        sleep(Duration::from_secs(100)).await;
        assert_eq!(*server.tried.borrow(), [0, 1, 3, 7, 15, 31, 61, 91]);
        assert_eq!(*server.reports.borrow(), ["the certificate has expired"]);

        // Another reason is told, too.
        *server.trouble.borrow_mut() = Some("accepts no connection".to_owned());
        sleep(Duration::from_secs(30)).await;
        assert_eq!(server.reports.borrow()[1..], ["accepts no connection"]);
        assert!(session.rests());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_works_again_is_found_without_a_client() {
    let test = async {
        let server = server(Some("accepts no connection"));
        let session = session(&server, true);
        assert!(!asks(&session).await);
        *server.trouble.borrow_mut() = None;
        sleep(Duration::from_secs(2)).await;
        assert!(!session.rests());
        assert_eq!(*server.reports.borrow(), ["accepts no connection", "answers"]);
        assert!(asks(&session).await);
        assert_eq!(*server.tried.borrow(), [0, 1], "the connection of the try is used");

        // The next outage begins anew. The connection ends after its idle time.
        sleep(Duration::from_mins(1)).await;
        *server.trouble.borrow_mut() = Some("accepts no connection".to_owned());
        assert!(!asks(&session).await);
        sleep(Duration::from_secs(4)).await;
        assert_eq!(server.tried.borrow()[2..], [62, 63, 65]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_asked_over_udp_first_does_not_rest() {
    let test = async {
        let server = server(Some("accepts no connection"));
        let session = session(&server, false);
        for _ in 0..3 {
            assert!(!asks(&session).await);
        }
        assert!(!session.rests());
        sleep(Duration::from_mins(1)).await;
        assert_eq!(*server.tried.borrow(), [0, 0, 0]);
    };
    LocalSet::new().run_until(test).await;
}
