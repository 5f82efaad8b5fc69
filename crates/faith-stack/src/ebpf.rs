//! What the programs of `bpf/` have in common: how their parts are fetched, and what is said when the kernel or
//! the loader refuses them.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use aya::maps::{Map, MapError};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use faith_sys::backlog::Backlogs;

/// The kernel is too old for a program, built without it, or keeps it from this user.
#[derive(Debug)]
pub(crate) struct Refusal {
    step: &'static str,
    cause: String,
}

impl Refusal {
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

/// A loader that leaves the kernel's own type information alone: no program asks for it, and reading it takes tens of
/// megabytes for a moment.
pub(crate) fn loader<'a>() -> EbpfLoader<'a> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// A map of a loaded object.
pub(crate) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Refusal>
where
    M: TryFrom<Map, Error = MapError>,
{
    ebpf.take_map(name)
        .ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
        .and_then(TryInto::try_into)
        .map_err(|error| Refusal::new("load", &error))
}

/// The map of `bpf/backlog.h`, which has an entry for each of so many workers.
pub(crate) fn take_backlogs(ebpf: &mut Ebpf, workers: u32) -> Result<Backlogs, Refusal> {
    const NAME: &str = "backlogs";
    let Some(Map::Array(map)) = ebpf.take_map(NAME) else {
        return Err(Refusal::new("load", &MapError::InvalidName { name: NAME.to_owned() }));
    };
    Backlogs::map(map.fd(), workers).map_err(|error| Refusal::new("load", &error))
}

/// A program of a loaded object, which the kernel has not seen yet.
pub(crate) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Refusal>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .map_err(|error| Refusal::new("load", &error))
}

/// What the kernel said of a program that was to be loaded.
pub(crate) fn refused_load(error: ProgramError) -> Refusal {
    // The verifier's log has many lines, and an error is one.
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        tracing::debug!(%verifier_log, "the kernel refused a program");
        return Refusal::new("load", &io_error);
    }
    Refusal::new("load", &error)
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
