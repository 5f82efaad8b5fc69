//! Loads the objects of `bpf/`, takes their maps and programs, and makes the errors if the kernel or the loader refuses
//! them.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::LazyLock;

use aya::maps::{Array, Map, MapError};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader, Pod};
use faith_sys::backlog::Backlogs;
use parking_lot::Mutex;

/// The flag of a map update that creates or replaces an entry.
pub(crate) const BPF_ANY: u64 = 0;

/// The kernel or the loader refused a program. The kernel may be too old, built without the feature, or forbid it to
/// this user.
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

/// One loader for all objects: each new loader reads the kernel's own type information, which no program needs. That
/// takes 12 ms and, for a moment, 17 MB.
static LOADER: LazyLock<Mutex<EbpfLoader<'static>>> = LazyLock::new(|| {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    Mutex::new(loader)
});

/// Makes the maps of an object. `entries` overrides the number of entries of some maps.
pub(crate) fn load(object: &[u8], entries: &[(&'static str, u32)]) -> Result<Ebpf, ProgramRefused> {
    let mut loader = LOADER.lock();
    for &(map, count) in entries {
        loader.map_max_entries(map, count);
    }
    loader.load(object).map_err(|error| ProgramRefused::new("load", &error))
}

/// Sets the only variable of a data section.
pub(crate) fn set<V: Pod>(ebpf: &mut Ebpf, section: &'static str, value: V) -> Result<(), ProgramRefused> {
    let data = ebpf.map_mut(section).ok_or_else(|| no_such_map(section))?;
    Array::try_from(data)
        .and_then(|mut data| data.set(0, value, BPF_ANY))
        .map_err(|error| ProgramRefused::new("load", &error))
}

fn no_such_map(name: &str) -> ProgramRefused {
    ProgramRefused::new("load", &MapError::InvalidName { name: name.to_owned() })
}

/// Takes a map of an object. The programs that use the map must be loaded before the returned map is dropped, which closes
/// its descriptor.
pub(crate) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, ProgramRefused>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or_else(|| no_such_map(name))?;
    map.try_into().map_err(|error| ProgramRefused::new("load", &error))
}

/// The map of `bpf/backlog.h`. [`load`] must give it an entry for each worker.
pub(crate) const BACKLOGS: &str = "backlogs";

/// Sets the number of workers in `bpf/backlog.h`.
pub(crate) fn set_workers(ebpf: &mut Ebpf, workers: u32) -> Result<(), ProgramRefused> {
    set(ebpf, ".data.workers", workers)
}

/// Takes the map [`BACKLOGS`], with an entry for each of `workers`.
pub(crate) fn take_backlogs(ebpf: &mut Ebpf, workers: u32) -> Result<Backlogs, ProgramRefused> {
    let Some(Map::Array(map)) = ebpf.take_map(BACKLOGS) else {
        return Err(no_such_map(BACKLOGS));
    };
    Backlogs::map(map.fd(), workers).map_err(|error| ProgramRefused::new("load", &error))
}

/// A program of an object, which may not be loaded into the kernel yet.
pub(crate) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, ProgramRefused>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .map_err(|error| ProgramRefused::new("load", &error))
}

/// Makes the error of a program that the kernel refused to load.
pub(crate) fn refused_load(error: ProgramError) -> ProgramRefused {
    // The verifier's log has many lines. The last one before its summary has the reason; an error is one line.
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

/// Makes the error of a map entry that the kernel refused.
pub(crate) fn refused_entry(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        error => io::Error::other(error),
    }
}

/// Writes an error and its causes on one line. aya's own messages repeat some causes and not others.
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
