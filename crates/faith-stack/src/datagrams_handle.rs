//! The handle of a relay of datagrams.

use std::sync::Arc;

use crate::datagrams::Place;
use crate::shared::Shared;
use crate::worker::Workers;

/// The handle of a relay of datagrams. Dropping it ends the relay's parts.
pub struct DatagramsHandle {
    pub(crate) place: Arc<Place>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
}

impl DatagramsHandle {
    /// Lets another relay take the ports. Until one does, this one gets their datagrams.
    pub fn release(&self) {
        self.shared.places.lock().retain(|place| !Arc::ptr_eq(place, &self.place));
    }

    /// Gives the relay no more datagrams.
    pub fn close(&self) {
        self.release();
        for worker in 0..self.workers.count() {
            let place = Arc::clone(&self.place);
            self.workers.run(worker, move |lane| lane.parts.borrow_mut().remove(&place));
        }
    }
}

impl Drop for DatagramsHandle {
    fn drop(&mut self) {
        self.close();
    }
}
