//! Spare descriptors for clients that are still to be accepted.
//!
//! A server's connection that waits for its client needs one more descriptor soon, the client's. If servers could take all
//! descriptors, no client would be accepted, so no session would begin, end and free its descriptors. Therefore each
//! waiting server has a spare descriptor, a duplicate of /dev/null. When accept(2) finds no descriptor left, the relay
//! closes a spare one. A few spares stay for later servers, which saves two system calls for each of them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;

/// Spares that stay beside those of waiting servers.
const MORE: usize = 6;

/// The spare descriptors of a relay.
pub(crate) struct Spares {
    /// The file that the spares duplicate. `None` if none are wanted, or if the file could not be opened.
    nowhere: Option<OwnedFd>,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    /// Number of waiting servers.
    owed: usize,
    /// The spares: at most [`MORE`] more than are owed.
    kept: Vec<OwnedFd>,
}

impl Spares {
    /// Makes an empty reserve. `wanted` says whether servers wait for their clients at all.
    pub(crate) fn new(wanted: bool) -> Self {
        let nowhere = wanted.then(|| File::open("/dev/null").ok()).flatten();
        Self { nowhere: nowhere.map(Into::into), pool: Mutex::default() }
    }

    /// Keeps a spare until the guard is dropped.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn keep(&self) -> io::Result<Spare<'_>> {
        let mut pool = self.pool.lock();
        if pool.kept.len() <= pool.owed
            && let Some(nowhere) = &self.nowhere
        {
            pool.kept.push(nowhere.try_clone()?);
        }
        pool.owed += 1;
        Ok(Spare(self))
    }

    /// Closes a spare for a connection that is to be accepted; `false` when there is none.
    pub(crate) fn spend(&self) -> bool {
        self.pool.lock().kept.pop().is_some()
    }
}

/// A waiting server's claim to a spare.
pub(crate) struct Spare<'a>(&'a Spares);

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        let mut pool = self.0.pool.lock();
        pool.owed -= 1;
        // If one was spent, it was ours. Otherwise this drops the surplus.
        let most = pool.owed + MORE;
        pool.kept.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(spares: &Spares) -> usize {
        spares.pool.lock().kept.len()
    }

    fn waiting(spares: &Spares, servers: usize) -> Vec<Spare<'_>> {
        (0..servers).map(|_| spares.keep().unwrap()).collect()
    }

    #[test]
    fn every_waiting_server_has_a_spare() {
        let spares = Spares::new(true);
        let mut servers = waiting(&spares, 2 * MORE);
        assert_eq!(kept(&spares), 2 * MORE);
        servers.truncate(MORE);
        assert_eq!(kept(&spares), 2 * MORE);
        servers.pop();
        assert_eq!(kept(&spares), 2 * MORE - 1);
    }

    #[test]
    fn the_spares_that_stay_are_used_by_later_servers() {
        let spares = Spares::new(true);
        drop(waiting(&spares, 2 * MORE));
        assert_eq!(kept(&spares), MORE);
        let _servers = waiting(&spares, MORE);
        assert_eq!(kept(&spares), MORE);
        assert!((0..MORE).all(|_| spares.spend()));
        assert!(!spares.spend());
    }

    #[test]
    fn a_spare_that_was_spent_is_not_taken_from_another_server() {
        let spares = Spares::new(true);
        let mut servers = waiting(&spares, 2);
        assert!(spares.spend());
        servers.pop();
        assert!(spares.spend());
        assert!(!spares.spend());
    }

    #[test]
    fn a_server_has_its_own_spare_after_another_was_spent() {
        let spares = Spares::new(true);
        let _one = spares.keep().unwrap();
        assert!(spares.spend());
        let _other = spares.keep().unwrap();
        assert_eq!(kept(&spares), 1);
    }
}
