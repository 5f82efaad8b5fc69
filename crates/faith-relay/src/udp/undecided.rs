//! Asks the route about sessions of datagrams, and keeps the first datagrams of each until the route has decided.

use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Instant;

use faith_packet::classify::{DropReason, Flow};
use faith_stack::Datagrams as _;

use super::part::Part;
use crate::attempt::Attempt;
use crate::cause::Cause;
use crate::refusal::Refusal;
use crate::route::Open;
use crate::source::Address;

impl Part {
    /// Asks the route about a flow that has no session, unless it is asked already, and keeps the flow's frame. Returns false
    /// if the relay asks no route about it.
    pub(crate) fn ask(&self, flow: &Flow, frame: &[u8]) -> bool {
        let Some(questions) = self.engine.admission.questions(flow.destination.port()) else { return false };
        match self.waiting.keep(flow, frame) {
            Some(true) => return true,
            Some(false) => {
                self.outlet.dropped(DropReason::Hold);
                return true;
            }
            None => {}
        }
        let mut attempt = self.attempt(flow);
        let (Some(part), Some(open)) = (self.this.upgrade(), questions.enter_datagrams(flow.client.ip()))
        else {
            self.refuse(attempt, Refusal::full(Cause::MaxUndecided), &[frame]);
            return true;
        };
        self.waiting.begin(flow);
        if self.waiting.keep(flow, frame) == Some(false) {
            self.outlet.dropped(DropReason::Hold);
        }
        let (peers, undecided) = (attempt.peers(), Undecided { part, flow: *flow });
        self.engine.ledger.spawn(self.outlet.worker(), peers, false, async move {
            let verdict = undecided.part.verdict(&mut attempt, open).await;
            undecided.go_on(attempt, verdict).await;
        });
        true
    }

    /// Waits for the way of a session's datagrams.
    async fn verdict(&self, attempt: &mut Attempt, open: Open) -> Result<(SocketAddrV4, Address), Refusal> {
        let is_mapped = |address| self.is_mapped(address);
        self.engine.admission.decide_datagram(self.protocol, attempt, open, is_mapped).await
    }
}

/// A flow whose frames wait. Dropping it forgets them.
struct Undecided {
    part: Rc<Part>,
    flow: Flow,
}

impl Undecided {
    /// Runs the session that the route permits, or refuses the client.
    async fn go_on(self, mut attempt: Attempt, way: Result<(SocketAddrV4, Address), Refusal>) {
        let (part, now) = (Rc::clone(&self.part), Instant::now());
        let frames = part.waiting.end(&self.flow);
        drop(self);
        match way.and_then(|way| part.open(&mut attempt, way, now)) {
            Ok(opened) => {
                let Some(begun) = part.establish(attempt, opened, now) else { return };
                begun.session.join();
                for frame in frames {
                    part.receive(&frame);
                }
                part.flush();
                begun.over().await;
            }
            Err(refusal) => {
                let frames: Vec<_> = frames.iter().map(AsRef::as_ref).collect();
                part.refuse(attempt, refusal, &frames);
            }
        }
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        for _ in self.part.waiting.end(&self.flow) {
            self.part.outlet.dropped(DropReason::Hold);
        }
    }
}
