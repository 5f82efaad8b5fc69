//! Connections that whoever routes takes itself.
//!
//! Up to the accepted socket they go the way of all others. Then they are none of the relay's: no session, no record,
//! and no place among those that are limited.

use faith_stack::Captured;

use crate::attempt::Attempt;
use crate::engine::{Engine, Worker};
use crate::leg::Leg;
use crate::upstream::Refusal;

impl Engine {
    /// Gives a client's connection to whoever routes.
    pub(crate) fn hand_over(&self, worker: usize, leg: Leg, attempt: Attempt) {
        // The client has reset it in the meantime, and has said nothing before.
        if leg.is_spent() {
            return attempt.fail(&Refusal::GIVEN_UP);
        }
        let (client, destination) = (*attempt.client(), *attempt.destination());
        match leg.into_connection().give_up() {
            Ok(socket) => {
                attempt.hand_over();
                self.admission.hand_over(worker, Captured { socket, client, destination });
            }
            Err(error) => attempt.fail(&Refusal::from_error(&error)),
        }
    }

    /// Ends the place of a connection that is somebody else's from now on.
    pub(crate) fn let_go(&self, worker: usize, id: u64) {
        let Worker { counters, tasks } = self.worker(worker);
        tasks.remove(id);
        counters.handed_over();
        self.vacate();
    }
}
