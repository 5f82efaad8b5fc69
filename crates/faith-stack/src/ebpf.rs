//! What the programs of `bpf/` have in common: how their parts are fetched, and what is said when the kernel or
//! the loader refuses them.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::LazyLock;

use aya::maps::{Array, Map, MapError};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader, Pod};
use faith_sys::backlog::Backlogs;
use parking_lot::Mutex;

/// Any flags a map update could have: create or replace.
pub(crate) const BPF_ANY: u64 = 0;

/// The kernel is too old for a program, built without it, or keeps it from this user.
#[derive(Debug)]
pub(crate) struct ProgramRefused {
    step: &'static str,
    cause: String,
}

impl ProgramRefused {
    /// `step` completes the sentence "cannot … the program".
    pub(crate) fn new(step: &'static str, error: &dyn Error) -> Self {
        Self { step, cause: with_sources(error) }
    }

    /// `cannot STEP the PROGRAM program: CAUSE`
    pub(crate) fn of(&self, program: &str) -> String {
        let Self { step, cause } = self;
        format!("cannot {step} the {program} program: {cause}")
    }
}

/// A new loader reads the kernel's own type information, which no program asks for: that takes 12 ms and, for a moment,
/// 17 MB. So there is one for all objects.
static LOADER: LazyLock<Mutex<EbpfLoader<'static>>> = LazyLock::new(|| {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    Mutex::new(loader)
});

/// Makes the maps of an object, some of which have as many entries as said here and not in the source.
pub(crate) fn load(object: &[u8], entries: &[(&'static str, u32)]) -> Result<Ebpf, ProgramRefused> {
    let mut loader = LOADER.lock();
    for &(map, count) in entries {
        loader.map_max_entries(map, count);
    }
    loader.load(object).map_err(|error| ProgramRefused::new("load", &error))
}

/// Sets the variable that a section of data consists of.
pub(crate) fn set<V: Pod>(ebpf: &mut Ebpf, section: &'static str, value: V) -> Result<(), ProgramRefused> {
    let data = ebpf.map_mut(section).ok_or_else(|| no_such_map(section))?;
    Array::try_from(data)
        .and_then(|mut data| data.set(0, value, BPF_ANY))
        .map_err(|error| ProgramRefused::new("load", &error))
}

fn no_such_map(name: &str) -> ProgramRefused {
    ProgramRefused::new("load", &MapError::InvalidName { name: name.to_owned() })
}

/// A map of a loaded object, which its programs, where they refer to it, have to be loaded before.
pub(crate) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, ProgramRefused>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or_else(|| no_such_map(name))?;
    map.try_into().map_err(|error| ProgramRefused::new("load", &error))
}

/// The map of `bpf/backlog.h`, which [`load`] is to give an entry for each worker.
pub(crate) const BACKLOGS: &str = "backlogs";

/// How many workers `bpf/backlog.h` has to choose from.
pub(crate) fn set_workers(ebpf: &mut Ebpf, workers: u32) -> Result<(), ProgramRefused> {
    set(ebpf, ".data.workers", workers)
}

/// Takes [`BACKLOGS`], of so many workers.
pub(crate) fn take_backlogs(ebpf: &mut Ebpf, workers: u32) -> Result<Backlogs, ProgramRefused> {
    let Some(Map::Array(map)) = ebpf.take_map(BACKLOGS) else {
        return Err(no_such_map(BACKLOGS));
    };
    Backlogs::map(map.fd(), workers).map_err(|error| ProgramRefused::new("load", &error))
}

/// A program of a loaded object, which the kernel has not seen yet.
pub(crate) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, ProgramRefused>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .map_err(|error| ProgramRefused::new("load", &error))
}

/// What the kernel said of a program that was to be loaded.
pub(crate) fn refused_load(error: ProgramError) -> ProgramRefused {
    // The verifier's log has many lines, of which the last but for a summary says why; and an error is one line.
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        let mut refused = ProgramRefused::new("load", &io_error);
        let log = verifier_log.to_string();
        let is_reason = |line: &&str| !line.trim().is_empty() && !line.starts_with("processed ");
        if let Some(reason) = log.lines().rfind(is_reason) {
            // Writing to a String does not fail.
            let _ = write!(refused.cause, ": {}", reason.trim());
        }
        return refused;
    }
    ProgramRefused::new("load", &error)
}

/// What the kernel said of a map's entry.
pub(crate) fn refused_entry(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        error => io::Error::other(error),
    }
}

/// An error and what caused it, on one line. aya repeats some causes in its own messages and not others.
fn with_sources(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            // Writing to a String does not fail.
            let _ = write!(line, ": {text}");
        }
        next = cause.source();
    }
    line
}
