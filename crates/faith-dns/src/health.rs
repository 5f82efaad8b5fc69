//! The health of an upstream: its trouble, and the queries that find out when the trouble is over.
//!
//! An upstream over TLS that cannot be asked says why at once. One that gives no response to a question may only be slow
//! about that name, and one that another upstream has outrun may be well. So such an upstream is in doubt: it is tried with
//! a question that any server can answer, after a second, then after pauses that grow, until it answers. When it has
//! failed two tries in a row, too, it has a trouble.
//!
//! An upstream over TLS that accepts no connections gets no queries of clients, which would cost a handshake each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::{Instant, sleep};

/// Hears why an upstream cannot be asked, and `None` once it answers.
pub(crate) type Report = Box<dyn Fn(Option<&str>)>;

/// Tries an upstream. An error is the reason why it gave no response, in words that fit behind its name.
pub(crate) type Try = Box<dyn Fn() -> LocalBoxFuture<'static, Result<(), String>>>;

/// The pause before an upstream in doubt is tried for the first time, and the longest one: after an outage clients wait no
/// longer than this.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The tries in a row that an upstream fails before it has a trouble.
const FAILURES: u32 = 2;

/// The time after an answer in which an upstream that is outrun is not in doubt. Otherwise a slow one would be tried again
/// and again.
const TRUSTED: Duration = Duration::from_mins(1);

/// The health of an upstream.
pub(crate) struct Health {
    /// The trouble that was reported last.
    trouble: RefCell<Option<Trouble>>,
    /// The upstream has given no answer since it was doubted.
    is_doubted: Cell<bool>,
    /// A task tries the upstream from time to time.
    is_mending: Cell<bool>,
    /// The tries that failed since the last answer.
    failures: Cell<u32>,
    /// The time of the last answer.
    heard: Cell<Option<Instant>>,
    report: Report,
    attempt: Try,
}

/// The reason why an upstream cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    /// The upstream accepts no connection that could carry a query.
    pub(crate) is_cut: bool,
}

impl Health {
    /// The health of an upstream that nothing is known about.
    pub(crate) fn new(report: Report, attempt: Try) -> Rc<Self> {
        Rc::new(Self {
            trouble: RefCell::default(),
            is_doubted: Cell::default(),
            is_mending: Cell::default(),
            failures: Cell::default(),
            heard: Cell::default(),
            report,
            attempt,
        })
    }

    /// Returns true while the upstream is not to be asked.
    pub(crate) fn rests(&self) -> bool {
        self.trouble.borrow().as_ref().is_some_and(|trouble| trouble.is_cut)
    }

    /// Learns that the upstream has answered.
    pub(crate) fn answered(&self) {
        self.heard.set(Some(Instant::now()));
        self.is_doubted.set(false);
        self.failures.set(0);
        self.tell(None);
    }

    /// Learns that the upstream has not answered before another one did.
    pub(crate) fn outrun(self: &Rc<Self>) {
        if self.heard.get().is_none_or(|heard| heard.elapsed() >= TRUSTED) {
            self.doubt();
        }
    }

    /// Learns that the upstream has given no response, and has it tried.
    pub(crate) fn doubt(self: &Rc<Self>) {
        self.is_doubted.set(true);
        if !self.is_mending.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).mend());
        }
    }

    /// Learns of a trouble, and has the upstream tried.
    pub(crate) fn fail(self: &Rc<Self>, trouble: Trouble) {
        self.doubt();
        self.tell(Some(trouble));
    }

    /// Reports a change.
    fn tell(&self, trouble: Option<Trouble>) {
        let before = self.trouble.replace(trouble);
        let reason = |trouble: &Option<Trouble>| trouble.as_ref().map(|trouble| trouble.reason.clone());
        let now = reason(&self.trouble.borrow());
        if reason(&before) != now {
            (self.report)(now.as_deref());
        }
    }

    /// Tries the upstream until it answers.
    async fn mend(self: Rc<Self>) {
        let [mut pause, longest] = PAUSES;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(longest);
            if !self.is_doubted.get() {
                break;
            }
            let Err(reason) = (self.attempt)().await else { break };
            self.failures.set(self.failures.get().saturating_add(1));
            // A trouble that is known has the better reason.
            if self.failures.get() >= FAILURES && self.trouble.borrow().is_none() {
                self.tell(Some(Trouble { reason, is_cut: false }));
            }
        }
        self.is_mending.set(false);
    }
}

#[cfg(test)]
mod tests;
