use std::io;
use std::net::SocketAddr;

use futures_util::future::{FutureExt, pending};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::open_gate::OpenGate;
use crate::peer::Way;
use crate::peers::Around;
use crate::record::Records;
use crate::settings::Gate;
use crate::wire::Question;

/// The behaviour of an upstream, which a test may change.
#[derive(Clone, Copy)]
enum Behaviour {
    /// It answers after so many milliseconds.
    Answers(u64),
    /// It answers with SERVFAIL at once.
    Fails,
    Silent,
    /// Nothing has its port.
    Gone,
}
use Behaviour::{Answers, Fails, Gone, Silent};

struct Fake {
    behaviour: Cell<Behaviour>,
    asked: Cell<usize>,
}

struct Lab {
    resolver: Resolver,
    fakes: Vec<Rc<Fake>>,
}

fn entry(question: &Question, code: u16) -> Entry {
    let mut octets = vec![0, 0];
    octets.extend_from_slice(&(wire::RESPONSE | code).to_be_bytes());
    octets.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    question.write(&mut octets);
    Entry::read(octets, question).unwrap()
}

async fn behave(behaviour: Behaviour, question: Question) -> io::Result<Entry> {
    match behaviour {
        Answers(milliseconds) => {
            sleep(Duration::from_millis(milliseconds)).await;
            Ok(entry(&question, wire::NO_ERROR))
        }
        Fails => Ok(entry(&question, wire::SERVER_FAILURE)),
        Silent => pending().await,
        Gone => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

impl Lab {
    fn new(behaviours: &[Behaviour], all_servers: bool) -> Self {
        let fake =
            |behaviour: &Behaviour| Rc::new(Fake { behaviour: Cell::new(*behaviour), asked: Cell::new(0) });
        let fakes: Vec<Rc<Fake>> = behaviours.iter().map(fake).collect();
        let (gate, counters): (Arc<dyn Gate>, _) = (OpenGate::new(), Arc::<Counters>::default());
        let peer = |(place, fake): (usize, &Rc<Fake>)| {
            let address = SocketAddr::from(([192, 0, 2, u8::try_from(place).unwrap()], 53));
            let fake = Rc::clone(fake);
            let script = move |ask: &Ask| {
                // The question of a try is about the root.
                let is_try = ask.question.name == [0];
                fake.asked.set(fake.asked.get() + usize::from(!is_try));
                behave(fake.behaviour.get(), ask.question.clone()).boxed_local()
            };
            Peer::new(Upstream::Plain(address), &gate, &counters, |_| Way::Script(Box::new(script)))
        };
        let peers = fakes.iter().enumerate().map(peer).collect();
        let around =
            Around { own: Vec::new(), gate, counters: Arc::clone(&counters), records: Records::default() };
        let peers = Peers::given(peers, &Rc::new(around));
        let pace = Pace { timeout: Duration::from_millis(800), all_servers };
        Self { resolver: Resolver::new(peers, pace, counters), fakes }
    }

    /// Asks for a name of one letter. Gives the code of the response, and the time in milliseconds.
    async fn ask(&self, letter: u8) -> (Option<u16>, u128) {
        let question = Question { name: vec![1, letter, 0], kind: 1, class: wire::IN };
        let ask = Ask { question, flags: wire::RECURSION_DESIRED, dnssec_ok: false };
        let since = Instant::now();
        // Tries end with the question.
        let (tasks, company) = (LocalSet::new(), Company::default());
        let response = tasks.run_until(self.resolver.ask(&ask, &company)).await;
        let code = response.map(|entry| entry.code());
        (code, since.elapsed().as_millis())
    }

    fn asked(&self) -> Vec<usize> {
        self.fakes.iter().map(|fake| fake.asked.get()).collect()
    }
}

const ANSWER: Option<u16> = Some(wire::NO_ERROR);
const ERROR: Option<u16> = Some(wire::SERVER_FAILURE);

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_one_client_a_quarter_of_a_second() {
    let lab = Lab::new(&[Silent, Answers(10)], false);
    assert_eq!(lab.ask(b'a').await, (ANSWER, 260));
    // The one that answered is asked first from now on, and alone.
    assert_eq!(lab.ask(b'b').await, (ANSWER, 10));
    assert_eq!(lab.asked(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_near_server_that_falls_silent_costs_less() {
    let lab = Lab::new(&[Answers(1), Answers(20), Silent], false);
    for letter in b'a'..=b'j' {
        assert_eq!(lab.ask(letter).await, (ANSWER, 1));
    }
    assert_eq!(lab.asked(), [10, 0, 0]);
    lab.fakes[0].behaviour.set(Silent);
    assert_eq!(lab.ask(b'k').await, (ANSWER, 120));
    assert_eq!(lab.asked(), [11, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_far_server_is_not_mistaken_for_a_silent_one() {
    let lab = Lab::new(&[Answers(600), Silent], false);
    for letter in b'a'..=b'j' {
        assert_eq!(lab.ask(letter).await, (ANSWER, 600));
    }
    // Before it is known to be far, the other one is asked as well.
    assert_eq!(lab.asked(), [10, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_faster_of_two_far_servers_is_asked_first() {
    let lab = Lab::new(&[Answers(600), Answers(30)], false);
    assert_eq!(lab.ask(b'a').await, (ANSWER, 280));
    for letter in b'b'..=b'j' {
        assert_eq!(lab.ask(letter).await, (ANSWER, 30));
    }
    assert_eq!(lab.asked(), [1, 10]);
}

#[tokio::test(start_paused = true)]
async fn errors_make_way_at_once() {
    let lab = Lab::new(&[Gone, Fails, Answers(10)], false);
    assert_eq!(lab.ask(b'a').await, (ANSWER, 10));
    assert_eq!(lab.asked(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_error_waits_for_servers_that_may_know_better() {
    let lab = Lab::new(&[Answers(300), Fails], false);
    assert_eq!(lab.ask(b'a').await, (ANSWER, 300));
    let lab = Lab::new(&[Silent, Fails], false);
    assert_eq!(lab.ask(b'a').await, (ERROR, 800));
}

#[tokio::test(start_paused = true)]
async fn all_servers_are_asked_at_once_by_option() {
    let lab = Lab::new(&[Silent, Answers(600), Answers(30)], true);
    for (letter, times) in [(b'a', 1), (b'b', 2)] {
        assert_eq!(lab.ask(letter).await, (ANSWER, 30));
        assert_eq!(lab.asked(), [times; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_outrun_has_not_failed() {
    let lab = Lab::new(&[Silent, Answers(10)], false);
    assert_eq!(lab.ask(b'a').await, (ANSWER, 260));
    lab.fakes[0].behaviour.set(Answers(10));
    lab.fakes[1].behaviour.set(Silent);
    // The second one is first by now, and has been fast.
    assert_eq!(lab.ask(b'a').await, (ANSWER, 110));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_time_ends_and_the_servers_have_failed() {
    let lab = Lab::new(&[Silent, Silent], false);
    assert_eq!(lab.ask(b'a').await, (None, 4500));
    let asked = lab.asked();
    assert_eq!(asked, [3, 3]);
    assert_eq!(lab.ask(b'a').await, (None, 0));
    assert_eq!(lab.asked(), asked);
}
