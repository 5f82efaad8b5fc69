use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{FutureExt, pending, ready};
use tokio::task::LocalSet;

use super::*;
use crate::ask::Ask;
use crate::counters::Counters;
use crate::entry::Entry;
use crate::open_gate::OpenGate;
use crate::peer::{Peer, Way};
use crate::record::Condition;
use crate::settings::Gate;
use crate::upstream::Upstream;
use crate::wire::{self, Question};

/// The behaviour of an upstream, which a test may change.
#[derive(Clone, Copy)]
enum Behaviour {
    Answers,
    /// It answers the question of a try alone.
    AnswersTries,
    Silent,
    /// Nothing has its port.
    Gone,
}
use Behaviour::{Answers, AnswersTries, Gone, Silent};

/// An upstream that is asked over UDP.
struct Lab {
    peer: Rc<Peer>,
    gate: Arc<OpenGate>,
    behaviour: Rc<Cell<Behaviour>>,
    /// The seconds at which it was tried.
    tried: Rc<RefCell<Vec<u64>>>,
}

fn response(question: &Question) -> Entry {
    let mut octets = vec![0, 0];
    octets.extend_from_slice(&wire::RESPONSE.to_be_bytes());
    octets.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    question.write(&mut octets);
    Entry::read(octets, question).unwrap()
}

impl Lab {
    fn new(behaviour: Behaviour) -> Self {
        let (behaviour, tried) = (Rc::new(Cell::new(behaviour)), Rc::<RefCell<Vec<u64>>>::default());
        let (script_behaviour, seconds, since) = (Rc::clone(&behaviour), Rc::clone(&tried), Instant::now());
        let script = move |ask: &Ask| {
            let is_try = ask.question.name == [0];
            if is_try {
                seconds.borrow_mut().push(since.elapsed().as_secs());
            }
            match script_behaviour.get() {
                Answers => ready(Ok(response(&ask.question))).boxed_local(),
                AnswersTries if is_try => ready(Ok(response(&ask.question))).boxed_local(),
                Silent | AnswersTries => pending().boxed_local(),
                Gone => ready(Err(io::ErrorKind::ConnectionRefused.into())).boxed_local(),
            }
        };
        let gate = OpenGate::new();
        let address = SocketAddr::from(([192, 0, 2, 1], 53));
        let peer = Peer::new(
            Upstream::Plain(address),
            &(Arc::<OpenGate>::clone(&gate) as Arc<dyn Gate>),
            &Arc::<Counters>::default(),
            |_| Way::Script(Box::new(script)),
        );
        Self { peer, gate, behaviour, tried }
    }

    async fn asks(&self) -> bool {
        let question = Question { name: vec![1, b'a', 0], kind: 1, class: wire::IN };
        let ask = Ask { question, flags: wire::RECURSION_DESIRED, dnssec_ok: false };
        self.peer.ask(&ask, Duration::from_millis(800)).await.is_some()
    }

    /// The queries, those that were answered, and those that were not.
    fn counts(&self) -> (u64, u64, u64) {
        let state = self.peer.record.state();
        (state.queries, state.answered, state.unanswered)
    }

    fn condition(&self) -> Condition {
        self.peer.record.state().condition
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_never_answers_is_told_once_and_told_when_it_answers() {
    let test = async {
        let lab = Lab::new(Silent);
        assert!(!lab.asks().await);
        assert_eq!((lab.condition(), lab.counts()), (Condition::Good, (1, 0, 1)));
        seconds(100).await;
        assert_eq!(*lab.tried.borrow(), [1, 5, 11, 21, 39, 71]);
        assert_eq!(lab.gate.troubles(), ["gives no response"]);
        assert_eq!(lab.condition(), Condition::Failing("gives no response".to_owned()));
        assert_eq!(lab.counts(), (7, 0, 7));
        assert!(!lab.peer.rests(), "clients' queries go on");

        lab.behaviour.set(Answers);
        seconds(30).await;
        assert_eq!(lab.gate.troubles()[1..], ["answers"]);
        assert_eq!((lab.condition(), lab.counts()), (Condition::Good, (8, 1, 7)));
        seconds(100).await;
        assert_eq!(lab.tried.borrow().len(), 7, "the tries are over");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_client_ends_a_trouble() {
    let test = async {
        let lab = Lab::new(Gone);
        assert!(!lab.asks().await);
        seconds(4).await;
        assert_eq!(lab.gate.troubles(), ["connection refused"]);
        lab.behaviour.set(Answers);
        assert!(lab.asks().await);
        assert_eq!(lab.gate.troubles()[1..], ["answers"]);
        seconds(100).await;
        assert_eq!(*lab.tried.borrow(), [1, 3]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_silent_about_some_names_alone_has_no_trouble() {
    let test = async {
        let lab = Lab::new(AnswersTries);
        for _ in 0..50 {
            assert!(!lab.asks().await);
        }
        seconds(10).await;
        assert_eq!(lab.gate.troubles(), [""; 0]);
        let (_, answered, unanswered) = lab.counts();
        assert_eq!((unanswered, answered), (50, lab.tried.borrow().len() as u64));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_outrun_is_tried_unless_it_has_answered_of_late() {
    let test = async {
        let lab = Lab::new(Silent);
        lab.peer.outrun();
        seconds(10).await;
        assert_eq!(lab.gate.troubles(), ["gives no response"]);

        let lab = Lab::new(Answers);
        assert!(lab.asks().await);
        lab.peer.outrun();
        seconds(59).await;
        lab.peer.outrun();
        assert!(lab.tried.borrow().is_empty());
        seconds(1).await;
        lab.peer.outrun();
        seconds(10).await;
        assert_eq!(*lab.tried.borrow(), [61]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_no_longer_named_is_not_tried() {
    let test = async {
        let lab = Lab::new(Silent);
        assert!(!lab.asks().await);
        let tried = Rc::clone(&lab.tried);
        drop(lab);
        seconds(100).await;
        assert!(tried.borrow().is_empty());
    };
    LocalSet::new().run_until(test).await;
}
