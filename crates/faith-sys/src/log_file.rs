//! The file of a log: opened so that no reader can block the caller, and so that rotation works.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, open};
use rustix::io::Errno;

/// Opens a file for appending, or creates it with mode 640, whatever the umask is. A file that was created belongs to
/// `owner` (a user and a group), if this process may give files away.
///
/// The file that exists keeps its owner: it may be a link that its folder's owner has made to another file.
///
/// # Errors
/// Those of open(2); `ENXIO` for a FIFO without a reader.
pub fn append(path: &Path, owner: Option<(u32, u32)>) -> io::Result<File> {
    let mode = Mode::from_raw_mode(0o640);
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    match open(path, flags | OFlags::CREATE | OFlags::EXCL, mode) {
        Ok(file) => {
            fchmod(&file, mode)?;
            if let Some((user, group)) = owner {
                // Without the privilege the file stays this process's own.
                let _ = fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            }
            Ok(file.into())
        }
        Err(Errno::EXIST) => Ok(open(path, flags, mode)?.into()),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether a file was deleted: no name leads to it.
#[must_use]
pub fn is_deleted(file: &File) -> bool {
    fstat(file).is_ok_and(|state| state.st_nlink == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_created_with_its_mode_appended_to_and_known_as_deleted() {
        let path = std::env::temp_dir().join(format!("faith-log-file-{}", std::process::id()));
        let mut file = append(&path, None).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        file.write_all(b"one\n").unwrap();
        append(&path, None).unwrap().write_all(b"two\n").unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
        assert!(!is_deleted(&file));
        std::fs::remove_file(&path).unwrap();
        assert!(is_deleted(&file));
    }
}
