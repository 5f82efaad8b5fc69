//! Descriptors kept for connections that are still to be accepted.
//!
//! A server's connection that waits for its client will need one more descriptor, the client's. If servers could
//! take all there are, no client would be accepted, no session begin, none end and none be given back. So each
//! server that waits has a descriptor in reserve that leads nowhere; when accept(2) finds none left, one of these
//! is closed for it. A few stay for servers to come, which spares each of them two system calls.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;

/// How many stay beside those of servers that wait.
const MORE: usize = 6;

/// The descriptors in reserve.
pub(crate) struct Spares {
    /// What they are duplicates of; `None` when there was none left for that from the beginning.
    nowhere: Option<OwnedFd>,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    /// How many servers wait.
    owed: usize,
    /// At most [`MORE`] more than are owed.
    kept: Vec<OwnedFd>,
}

impl Spares {
    /// `wanted` is whether servers wait for their clients at all.
    pub(crate) fn new(wanted: bool) -> Self {
        let nowhere = wanted.then(|| File::open("/dev/null").ok()).flatten();
        Self { nowhere: nowhere.map(Into::into), pool: Mutex::default() }
    }

    /// Keeps a descriptor until the guard is dropped.
    ///
    /// # Errors
    /// There is none left.
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

    /// Gives one up for a connection that is to be accepted; `false` when there is none.
    pub(crate) fn spend(&self) -> bool {
        self.pool.lock().kept.pop().is_some()
    }
}

/// A server's claim to a descriptor in reserve.
pub(crate) struct Spare<'a>(&'a Spares);

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        let mut pool = self.0.pool.lock();
        pool.owed -= 1;
        // The one that was spent was ours, then, or is not missed by anybody.
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
    fn every_server_that_waits_has_one() {
        let spares = Spares::new(true);
        let mut servers = waiting(&spares, 2 * MORE);
        assert_eq!(kept(&spares), 2 * MORE);
        servers.truncate(MORE);
        assert_eq!(kept(&spares), 2 * MORE);
        servers.pop();
        assert_eq!(kept(&spares), 2 * MORE - 1);
    }

    #[test]
    fn those_that_stay_are_for_servers_to_come() {
        let spares = Spares::new(true);
        drop(waiting(&spares, 2 * MORE));
        assert_eq!(kept(&spares), MORE);
        let _servers = waiting(&spares, MORE);
        assert_eq!(kept(&spares), MORE);
        assert!((0..MORE).all(|_| spares.spend()));
        assert!(!spares.spend());
    }

    #[test]
    fn one_that_was_spent_is_not_taken_from_another_server() {
        let spares = Spares::new(true);
        let mut servers = waiting(&spares, 2);
        assert!(spares.spend());
        servers.pop();
        assert!(spares.spend());
        assert!(!spares.spend());
    }

    #[test]
    fn a_server_has_one_of_its_own_after_another_one_was_spent() {
        let spares = Spares::new(true);
        let _one = spares.keep().unwrap();
        assert!(spares.spend());
        let _other = spares.keep().unwrap();
        assert_eq!(kept(&spares), 1);
    }
}
