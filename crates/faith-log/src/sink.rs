//! Sinks: the places that take the lines. This is the one file that chooses among them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::PathBuf;

use faith_sys::line_sink::LineSink;

use crate::batch::Batch;
use crate::datagrams::{Address, Datagrams};
use crate::file::LogFile;
use crate::syslog::Origin;

/// The socket of journald (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The place that a log goes to.
pub enum Target {
    /// A descriptor, such as stderr.
    Descriptor(Box<dyn AsFd + Send>),
    /// A file. If the log creates it, it belongs to `owner`, a user and a group.
    File {
        /// Its path.
        path: PathBuf,
        /// A user and its group.
        owner: Option<(u32, u32)>,
    },
    /// The journal of systemd. Another socket than journald's may be given.
    Journal(Option<PathBuf>),
    /// A receiver of syslog messages (RFC 5424).
    Syslog {
        /// Its address.
        to: Address,
        /// The number of the facility, from 0 to 23.
        facility: u8,
        /// The private enterprise number under which the facts of a line are sent; without, they are not.
        enterprise: Option<u32>,
    },
}

/// A place that takes lines, with a name for people.
pub(crate) struct Sink {
    name: String,
    way: Way,
}

enum Way {
    Descriptor(LineSink<Box<dyn AsFd + Send>>),
    File(LogFile),
    Datagrams(Datagrams),
}

/// The envelope that the sink's lines have.
#[derive(Debug)]
pub(crate) enum Envelope {
    /// A line with its time and level.
    Line { colours: bool },
    /// An entry of the journal.
    Journal,
    /// A message of syslog.
    Syslog(Box<Origin>),
}

/// A sink takes no lines.
pub(crate) enum Refused {
    /// It may take them later.
    ForNow(io::Error),
    /// Its reader is gone.
    ForGood,
}

impl Sink {
    /// Opens a sink. Receivers of datagrams may be absent for now.
    pub(crate) fn open(target: Target) -> io::Result<(Self, Envelope)> {
        let (name, way, envelope) = match target {
            Target::Descriptor(descriptor) => (
                "stderr".to_owned(),
                Way::Descriptor(LineSink::new(descriptor)),
                Envelope::Line { colours: true },
            ),
            Target::File { path, owner } => (
                path.display().to_string(),
                Way::File(LogFile::open(path, owner)?),
                Envelope::Line { colours: false },
            ),
            Target::Journal(path) => {
                let path = path.unwrap_or_else(|| JOURNAL.into());
                let name = format!("the journal ({})", path.display());
                (name, Way::Datagrams(Datagrams::new(Address::Unix(path))), Envelope::Journal)
            }
            Target::Syslog { to, facility, enterprise } => {
                let name = match &to {
                    Address::Unix(path) => format!("syslog ({})", path.display()),
                    Address::Udp(address) => format!("syslog ({address})"),
                };
                let origin = Origin::new(facility, enterprise);
                (name, Way::Datagrams(Datagrams::new(to)), Envelope::Syslog(Box::new(origin)))
            }
        };
        Ok((Self { name, way }, envelope))
    }

    pub(crate) fn is_descriptor(&self) -> bool {
        matches!(self.way, Way::Descriptor(_))
    }

    /// Writes some entries. Blocks while the reader does not read.
    pub(crate) fn write(&mut self, batch: &mut Batch) -> Result<(), Refused> {
        match &mut self.way {
            Way::Descriptor(descriptor) => match descriptor.write(batch.rest()) {
                Ok(written) => {
                    batch.wrote_bytes(written);
                    Ok(())
                }
                // EBADF: faithd was started without stderr.
                Err(error) if error.kind() == ErrorKind::BrokenPipe || is_closed(&error) => {
                    Err(Refused::ForGood)
                }
                Err(error) => Err(Refused::ForNow(error)),
            },
            Way::File(file) => file.write(batch).map_err(Refused::ForNow),
            Way::Datagrams(datagrams) => datagrams.send(batch).map_err(Refused::ForNow),
        }
    }

    /// Opens the file of the sink again; `None` if the sink is no file.
    pub(crate) fn reopen(&mut self, batch: &mut Batch) -> Option<io::Result<()>> {
        match &mut self.way {
            Way::File(file) => Some(file.reopen(batch)),
            Way::Descriptor(_) | Way::Datagrams(_) => None,
        }
    }

    /// The number of entries that were written and did not arrive, since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        match &mut self.way {
            Way::Datagrams(datagrams) => datagrams.take_lost(),
            Way::Descriptor(_) | Way::File(_) => 0,
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Tells whether a write failed because the process has no such descriptor.
fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error().and_then(faith_stack::errno_name) == Some("EBADF")
}
