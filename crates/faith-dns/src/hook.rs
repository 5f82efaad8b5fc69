//! Names that the program around the server answers by itself.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use faith_dns64::Own;
use hickory_proto::ProtoError;
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The program's answers to queries.
pub trait Resolve: Send + Sync + 'static {
    /// Asks the program. This is called on the server's thread, and must not block.
    fn ask(&self, query: OwnQuery);
}

/// A query that waits for the program's answer. Dropping it answers the client with SERVFAIL.
#[derive(Debug)]
pub struct OwnQuery {
    /// The name in lower case, without the dot at its end; `.` is the root.
    pub name: String,
    /// The type of the records: `AAAA`, or `TYPE65280` for a type without a name.
    pub kind: String,
    /// The client.
    pub client: IpAddr,
    waiting: oneshot::Sender<Option<Own>>,
}

impl OwnQuery {
    /// Answers the query; `None` leaves it to the upstreams. Returns false if its time is over.
    #[must_use]
    pub fn answer(self, own: Option<Own>) -> bool {
        self.waiting.send(own).is_ok()
    }

    /// Returns true if its time is over.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.waiting.is_closed()
    }
}

/// A name and those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(Name);

impl FromStr for Zone {
    type Err = ProtoError;

    fn from_str(text: &str) -> Result<Self, ProtoError> {
        Name::from_utf8(text).map(Self)
    }
}

impl Zone {
    fn has(&self, name: &Name) -> bool {
        let mut labels = name.iter().rev();
        self.0.iter().rev().all(|label| labels.next().is_some_and(|have| have.eq_ignore_ascii_case(label)))
    }
}

/// The use of a program's answers.
#[derive(Clone)]
pub struct Hook {
    /// The program.
    pub resolve: Arc<dyn Resolve>,
    /// The program is asked about these names and those below them; without any, about all.
    pub names: Vec<Zone>,
    /// The time that the program has to answer.
    pub timeout: Duration,
}

/// The program gave no answer.
pub(crate) struct Unanswered;

impl Hook {
    /// Returns true if the program is asked about this name.
    pub(crate) fn covers(&self, name: &Name) -> bool {
        self.names.is_empty() || self.names.iter().any(|zone| zone.has(name))
    }

    pub(crate) fn covers_any(&self, questions: &[Query]) -> bool {
        questions.iter().any(|question| self.covers(question.name()))
    }

    /// The program's answer; `None` if it leaves the query to the upstreams.
    pub(crate) async fn ask(&self, question: &Query, client: IpAddr) -> Result<Option<Own>, Unanswered> {
        let (waiting, answer) = oneshot::channel();
        let query = OwnQuery {
            name: text_of(question.name()),
            kind: kind_of(question.query_type()),
            client: client.to_canonical(),
            waiting,
        };
        self.resolve.ask(query);
        match timeout(self.timeout, answer).await {
            Ok(Ok(own)) => Ok(own),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }
}

/// A name in lower case, without the dot at its end.
pub(crate) fn text_of(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

fn kind_of(kind: RecordType) -> String {
    match kind {
        RecordType::Unknown(code) => format!("TYPE{code}"),
        known => known.to_string(),
    }
}
