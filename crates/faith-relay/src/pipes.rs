//! The pipes of a worker, lent to directions that have bytes in flight.
//!
//! A pipe costs two descriptors, and one or two system calls to make. A session needs one only while bulk passes, so each
//! worker's thread keeps a stock. Most pipes have the kernel's default size. A direction whose source is always ahead gets
//! a large one, because fewer and longer splices are cheaper. The number of large pipes is bounded: the kernel charges a
//! pipe's contents to no process.
//!
//! Only an empty pipe comes back: bytes left in one would surface in another session.

use std::cell::RefCell;

use faith_sys::pipe::Pipe;

/// Idle pipes kept per worker and size.
const STOCK: usize = 32;

/// Large pipes of a worker, idle or lent.
const LARGE: usize = 32;

/// Requested size of a large pipe; the administrator's limit may cut it down.
const LARGE_CAPACITY: usize = 1 << 20;

thread_local! {
    static PIPES: RefCell<Pipes> = RefCell::default();
}

#[derive(Default)]
struct Pipes {
    small: Vec<Pipe>,
    large: Vec<Pipe>,
    large_made: usize,
    /// The kernel refused to grow a pipe, because this user is at the soft limit. Asking again would cost a pipe each time.
    cannot_grow: bool,
    /// splice(2) is refused on this thread, so pipes are useless.
    useless: bool,
}

/// A pipe on loan. Dropping the loan closes the pipe, whose bytes are lost.
#[derive(Debug)]
pub(crate) struct Loan {
    pipe: Option<Pipe>,
    large: bool,
}

impl Loan {
    /// Borrows a pipe. With `large` it is a large one if one is available. `None` when the process is out of descriptors, or
    /// after [`lend_no_more`].
    pub(crate) fn take(large: bool) -> Option<Self> {
        PIPES.with_borrow_mut(|pipes| pipes.take(large))
    }

    /// The pipe.
    pub(crate) fn pipe(&self) -> Option<&Pipe> {
        self.pipe.as_ref()
    }

    /// Tells whether it is a large pipe.
    pub(crate) fn is_large(&self) -> bool {
        self.large
    }

    /// Gives back the pipe, which must be empty.
    pub(crate) fn give_back(mut self) {
        if let Some(pipe) = self.pipe.take() {
            PIPES.with_borrow_mut(|pipes| pipes.give(pipe, self.large));
        }
    }
}

/// Stops lending pipes on this thread, where splice(2) is refused, and closes the idle ones.
pub(crate) fn lend_no_more() {
    PIPES.with_borrow_mut(|pipes| {
        pipes.useless = true;
        pipes.large_made -= pipes.large.len();
        pipes.small.clear();
        pipes.large.clear();
    });
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The stock may be gone already while the thread ends.
        if self.large && self.pipe.is_some() {
            let _ = PIPES.try_with(|pipes| pipes.borrow_mut().large_made -= 1);
        }
    }
}

impl Pipes {
    fn take(&mut self, large: bool) -> Option<Loan> {
        if self.useless {
            return None;
        }
        if large && let Some(loan) = self.take_large() {
            return Some(loan);
        }
        let pipe = self.small.pop().or_else(|| Pipe::new().ok())?;
        Some(Loan { pipe: Some(pipe), large: false })
    }

    fn take_large(&mut self) -> Option<Loan> {
        if let Some(pipe) = self.large.pop() {
            return Some(Loan { pipe: Some(pipe), large: true });
        }
        if self.cannot_grow || self.large_made >= LARGE {
            return None;
        }
        let pipe = self.small.pop().or_else(|| Pipe::new().ok())?;
        if pipe.grow(LARGE_CAPACITY).is_err() {
            self.cannot_grow = true;
            self.give(pipe, false);
            return None;
        }
        self.large_made += 1;
        Some(Loan { pipe: Some(pipe), large: true })
    }

    fn give(&mut self, pipe: Pipe, large: bool) {
        let stock = if large { &mut self.large } else { &mut self.small };
        if stock.len() < STOCK && !self.useless {
            stock.push(pipe);
        } else if large {
            self.large_made -= 1;
        }
    }
}

/// Number of idle pipes of this thread.
#[cfg(test)]
pub(crate) fn stock() -> usize {
    PIPES.with_borrow(|pipes| pipes.small.len() + pipes.large.len())
}

/// Number of large pipes of this thread, idle or lent.
#[cfg(test)]
pub(crate) fn large() -> usize {
    PIPES.with_borrow(|pipes| pipes.large_made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_given_back_is_lent_again() {
        let loan = Loan::take(false).unwrap();
        assert_eq!(stock(), 0);
        loan.give_back();
        assert_eq!(stock(), 1);
        let _loan = Loan::take(false).unwrap();
        assert_eq!(stock(), 0);
    }

    #[test]
    fn a_pipe_that_is_dropped_is_not_lent_again() {
        drop(Loan::take(true).unwrap());
        assert_eq!((stock(), large()), (0, 0));
    }

    #[test]
    fn no_pipe_is_lent_once_splices_are_refused() {
        let [large, small] = [true, false].map(|size| Loan::take(size).unwrap());
        Loan::take(false).unwrap().give_back();
        lend_no_more();
        large.give_back();
        small.give_back();
        assert_eq!((stock(), self::large()), (0, 0));
        assert!(Loan::take(false).is_none());
    }

    #[test]
    fn large_pipes_are_bounded_and_small_ones_take_their_place() {
        let loans: Vec<Loan> = (0..LARGE + 4).map(|_| Loan::take(true).unwrap()).collect();
        assert!(loans.iter().filter(|loan| loan.is_large()).count() <= LARGE);
        assert!(!loans[LARGE].is_large());
        loans.into_iter().for_each(Loan::give_back);
        assert!(large() <= LARGE);
        assert!(stock() <= 2 * STOCK);
    }
}
