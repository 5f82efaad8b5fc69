//! Finds loops: an upstream that asks this server what this server asks it.
//!
//! Such a question would wait for its own response, as equal questions share one query. So when another query has come for a
//! question, and the upstream takes longer than usual for it, a probe follows: a question for a random name below the one
//! in question, which takes the same way. If the probe comes back to this server, there is a loop. An upstream that is only
//! slow costs one query more. No probe follows a probe, of whatever server: where several servers ask each other, probes
//! would never end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::ask::{self, Ask};
use crate::cache::Key;
use crate::entry;
use crate::wire::{self, Opt, Question};

/// The longest name in octets (RFC 1035 section 2.3.4).
const LONGEST: usize = 255;

/// The first label of a probe's name begins with this, and goes on with so many hexadecimal digits.
const MARK: &str = "loop-";
const DIGITS: usize = 16;

/// The extended error that fits no other code (RFC 8914 section 4.1).
const OTHER_ERROR: u16 = 0;

/// The text of the extended error that clients get.
const TEXT: &str = "forwarding loop";

/// The questions that upstreams are asked.
#[derive(Debug, Default)]
pub(crate) struct Companies(RefCell<HashMap<Key, (Rc<Company>, usize)>>);

impl Companies {
    /// Counts a query to the upstreams. In a loop, an upstream may have changed the flags.
    pub(crate) fn enter(&self, question: &Question) -> Rc<Company> {
        let mut companies = self.0.borrow_mut();
        let (company, queries) = companies.entry(Key::new(question, 0, false)).or_default();
        *queries += 1;
        if *queries > 1 {
            company.join();
        }
        Rc::clone(company)
    }

    /// Counts its end.
    pub(crate) fn leave(&self, question: &Question) {
        if let Entry::Occupied(mut company) = self.0.borrow_mut().entry(Key::new(question, 0, false)) {
            let (_, queries) = company.get_mut();
            *queries -= 1;
            if *queries == 0 {
                company.remove();
            }
        }
    }
}

/// The queries for one question.
#[derive(Debug, Default)]
pub(crate) struct Company {
    has_joined: Cell<bool>,
    joined: Notify,
}

impl Company {
    /// Marks that another query waits for the same response.
    pub(crate) fn join(&self) {
        self.has_joined.set(true);
        self.joined.notify_waiters();
    }

    /// Waits until there is another query.
    pub(crate) async fn joined(&self) {
        if !self.has_joined.get() {
            self.joined.notified().await;
        }
    }
}

/// The probes that are under way.
#[derive(Debug, Default)]
pub(crate) struct Probes(RefCell<HashMap<Vec<u8>, Rc<Notify>>>);

impl Probes {
    /// A probe for the way of this question. It ends when it is dropped.
    pub(crate) fn begin(&self, ask: &Ask) -> Probe<'_> {
        let name = below(&ask.question.name);
        let back = Rc::<Notify>::default();
        self.0.borrow_mut().insert(name.clone(), Rc::clone(&back));
        let ask = Ask { question: Question { name, ..ask.question.clone() }, ..ask.clone() };
        Probe { probes: self, ask, back }
    }

    /// Returns true if a client's question is a probe that has come back.
    pub(crate) fn take(&self, question: &Question) -> bool {
        let probes = self.0.borrow();
        if probes.is_empty() {
            return false;
        }
        let back = probes.get(&question.name.to_ascii_lowercase());
        if let Some(back) = back {
            back.notify_one();
        }
        back.is_some()
    }
}

/// A probe that is under way.
pub(crate) struct Probe<'a> {
    probes: &'a Probes,
    pub(crate) ask: Ask,
    back: Rc<Notify>,
}

impl Probe<'_> {
    /// Waits until the probe has come back.
    pub(crate) async fn back(&self) {
        self.back.notified().await;
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.probes.0.borrow_mut().remove(&self.ask.question.name);
    }
}

/// The response to a question that came back.
pub(crate) fn failure(ask: &Ask) -> Option<entry::Entry> {
    let mut response = vec![0, 0];
    let flags = wire::RESPONSE | wire::RECURSION_AVAILABLE | wire::SERVER_FAILURE;
    response.extend_from_slice(&flags.to_be_bytes());
    response.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    ask.question.write(&mut response);
    let opt = Opt { code: 0, errors: wire::extended_error(OTHER_ERROR, TEXT) };
    wire::push_opt(&mut response, &opt, faith_dns64::MAX_PAYLOAD, false);
    entry::Entry::read(response, &ask.question)
}

/// Returns true for the question of a probe, also of another server.
pub(crate) fn is_probe(question: &Question) -> bool {
    let Some((&length, rest)) = question.name.split_first() else { return false };
    let Some(label) = rest.get(..usize::from(length)) else { return false };
    let Some((mark, digits)) = label.split_at_checked(MARK.len()) else { return false };
    let is_random = digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit);
    mark.eq_ignore_ascii_case(MARK.as_bytes()) && is_random
}

/// A random name below this one in lower case, or below one of its parents if it is long.
fn below(name: &[u8]) -> Vec<u8> {
    let mut label = MARK.to_owned();
    for _ in 0..4 {
        // Writing to a string cannot fail.
        let _ = write!(label, "{:04x}", ask::random_id());
    }
    let mut parent = name;
    while parent.len() + 1 + label.len() > LONGEST {
        parent = parent.first().and_then(|length| parent.get(1 + usize::from(*length)..)).unwrap_or(&[0]);
    }
    let length = u8::try_from(label.len()).unwrap_or(0);
    [&[length], label.as_bytes(), &parent.to_ascii_lowercase()].concat()
}

#[cfg(test)]
mod tests;
