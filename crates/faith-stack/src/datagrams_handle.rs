//! The handle of a relay of datagrams.

use std::net::SocketAddrV6;
use std::sync::Arc;

use faith_packet::classify::is_client;

use crate::capturing;
use crate::datagrams::Place;
use crate::error::StackError;
use crate::keepfaith::keepfaith;
use crate::shared::Shared;
use crate::worker::Workers;

/// The handle of a relay of datagrams. Dropping it ends the relay's parts.
pub struct DatagramsHandle {
    pub(crate) place: Arc<Place>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
}

impl DatagramsHandle {
    /// The worker whose part sends a datagram from `from` to the client at `to`: the one that gets the client's datagrams.
    ///
    /// # Errors
    /// keepfaith is off, `from` is inside no prefix, or `to` is no address of a client.
    pub fn sender(&self, from: &SocketAddrV6, to: &SocketAddrV6) -> Result<usize, StackError> {
        if !keepfaith() {
            return Err(StackError::Keepfaith);
        }
        if self.shared.classifier.load().prefixes().find(from.ip()).is_none() {
            let interface = self.shared.name.clone();
            return Err(StackError::AddressOutside { interface, address: *from.ip() });
        }
        if capturing::captures(to.ip()) || !is_client(*to.ip()) {
            let interface = self.shared.name.clone();
            return Err(StackError::NoClient { interface, address: *to.ip() });
        }
        Ok(self.shared.mixing.owner(to, self.workers.count()))
    }

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
