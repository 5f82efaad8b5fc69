//! The users of the host (passwd(5), nsswitch.conf(5)).

use std::ffi::{CString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use rustix::process::{Gid, Uid};

/// A user, with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub uid: Uid,
    /// The id of the user's first group.
    pub gid: Gid,
    /// The ids of all groups that the user is in.
    pub groups: Vec<Gid>,
}

/// The most groups of a user (`NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;

/// The longest entry.
const LONGEST: usize = 1 << 20;

/// Looks a user up by its name. `None` if there is none.
///
/// # Errors
/// Those of getpwnam_r(3), as when the service that knows the users does not answer.
pub fn find(name: &str) -> io::Result<Option<User>> {
    // No user has a name with a zero byte.
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let Some((uid, gid)) = entry(&name)? else { return Ok(None) };
    let groups = groups(&name, gid)?;
    Ok(Some(User { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups }))
}

fn entry(name: &CString) -> io::Result<Option<(libc::uid_t, libc::gid_t)>> {
    let mut length = 1024;
    loop {
        let mut texts: Vec<c_char> = vec![0; length];
        let mut found = MaybeUninit::<libc::passwd>::uninit();
        let mut result = null_mut();
        // SAFETY: the name ends in a zero byte, `length` is that of `texts`, and all of them outlive the call.
        let error = unsafe {
            libc::getpwnam_r(name.as_ptr(), found.as_mut_ptr(), texts.as_mut_ptr(), length, &raw mut result)
        };
        match error {
            0 | libc::ENOENT if result.is_null() => return Ok(None),
            0 => {
                // SAFETY: the call succeeded, so it has filled the structure.
                let found = unsafe { found.assume_init() };
                return Ok(Some((found.pw_uid, found.pw_gid)));
            }
            libc::ERANGE if length < LONGEST => length *= 2,
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn groups(name: &CString, gid: libc::gid_t) -> io::Result<Vec<Gid>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).map_err(io::Error::other)?;
        // SAFETY: the name ends in a zero byte, and the call writes at most `count` ids.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            return Ok(groups.into_iter().take(count).map(Gid::from_raw).collect());
        }
        if groups.len() >= MOST_GROUPS {
            return Err(io::Error::other("the user is in too many groups"));
        }
        groups.resize(count.max(groups.len() * 2), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_with_its_groups() {
        let root = find("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (Uid::ROOT, Gid::ROOT));
        assert!(root.groups.contains(&Gid::ROOT));
    }

    #[test]
    fn an_unknown_user_is_not_found() {
        assert_eq!(find("no such user").unwrap(), None);
        assert_eq!(find("root\0").unwrap(), None);
    }
}
