use std::io;
use std::time::Duration;

use futures_util::future::pending;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, AAAA};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::*;
use crate::counters::Counters;
use crate::entry::Entry;
use crate::open_gate::OpenGate;
use crate::settings::Gate;

/// Answers about `dns.example.` with an address of each family.
fn answer(ask: &Ask) -> io::Result<Entry> {
    let name = Name::from_ascii("dns.example.").unwrap();
    let (kind, data) = if ask.question.kind == u16::from(RecordType::A) {
        (RecordType::A, RData::A(A::new(192, 0, 2, 53)))
    } else {
        (RecordType::AAAA, RData::AAAA(AAAA("2001:db8::53".parse().unwrap())))
    };
    let mut response = Message::response(0, hickory_proto::op::OpCode::Query);
    response.queries.push(Query::query(name.clone(), kind));
    response.answers.push(Record::from_rdata(name, 60, data));
    let octets = response.to_vec().unwrap();
    Entry::read(octets, &ask.question).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Asks a silent upstream, and then one that answers.
fn helpers() -> Resolver {
    let (gate, counters): (Arc<dyn Gate>, _) = (OpenGate::new(), Arc::<Counters>::default());
    let peer = |last: u8, answers: bool| {
        let address = SocketAddr::from(([192, 0, 2, last], 53));
        let script = move |ask: &Ask| {
            if answers { ready(answer(ask)).boxed_local() } else { pending().boxed_local() }
        };
        Peer::new(Upstream::Plain(address), &gate, &counters, |_| Way::Script(Box::new(script)))
    };
    let peers = vec![peer(1, false), peer(2, true)];
    let around =
        Rc::new(Around { own: Vec::new(), gate, counters: Arc::clone(&counters), records: Arc::default() });
    let pace = Pace { timeout: Duration::from_millis(800), all_servers: false };
    Resolver::new(Peers::given(peers, &around), pace, counters)
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_a_look_up_no_more_than_a_question_of_a_client() {
    let test = async {
        let (helpers, since) = (helpers(), Instant::now());
        let found = look_up(&helpers, "dns.example").await;
        let expected: Vec<IpAddr> = vec!["2001:db8::53".parse().unwrap(), "192.0.2.53".parse().unwrap()];
        assert_eq!(found, expected);
        assert_eq!(since.elapsed().as_millis(), 250);
        // The one that answered is asked first from now on.
        look_up(&helpers, "dns.example").await;
        assert_eq!(since.elapsed().as_millis(), 250);
    };
    LocalSet::new().run_until(test).await;
}
