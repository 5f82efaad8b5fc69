//! The limit of descriptors of this process (`RLIMIT_NOFILE`, getrlimit(2)).

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of open descriptors to assume if /proc cannot be read.
const OPEN: usize = 64;

/// Raises the soft limit to the hard one. Node does so at its start; other hosts of this library may not.
///
/// # Errors
/// Those of setrlimit(2); none is expected, because every process may do this.
pub fn raise_limit() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// The number of descriptors that this process may still open.
#[must_use]
pub fn left() -> u32 {
    let open = std::fs::read_dir("/proc/self/fd").map_or(OPEN, Iterator::count) as u64;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u32::try_from(limit.saturating_sub(open)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// One test of both functions, because the limit belongs to the process and tests run at the same time.
    #[test]
    fn open_descriptors_do_not_count_as_left_and_the_soft_limit_is_raised_to_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let lower = Rlimit { current: Some(512), ..before };
        setrlimit(Resource::Nofile, lower).unwrap();
        let files: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        let without = left();
        drop(files);
        assert!(left() < 512);
        // Other tests open and close descriptors meanwhile.
        assert!(left() > without + 50);
        raise_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: before.maximum, ..before });
        setrlimit(Resource::Nofile, before).unwrap();
    }
}
