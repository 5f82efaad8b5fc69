//! A file as a sink.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use faith_sys::line_sink::write_some;
use faith_sys::log_file::{append, is_deleted};

use crate::batch::Batch;

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    owner: Option<(u32, u32)>,
    file: File,
}

impl LogFile {
    /// Opens a file, or creates it for `owner`.
    pub(crate) fn open(path: PathBuf, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let file = append(&path, owner)?;
        Ok(Self { path, owner, file })
    }

    /// Opens the file of this name again: the one that was open may have another name by now.
    pub(crate) fn reopen(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.file = append(&self.path, self.owner)?;
        batch.restart_entry();
        Ok(())
    }

    /// Writes some lines. A file that was deleted takes none: they would be lost.
    pub(crate) fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        if is_deleted(&self.file) {
            self.reopen(batch)?;
        }
        let written = write_some(&self.file, batch.rest())?;
        batch.wrote_bytes(written);
        Ok(())
    }
}
