//! The names of errno(3), which are the error codes for calls that the kernel refused.

use std::io;

use rustix::io::Errno;

/// The errnos whose rustix name is that of errno(3) without the E.
macro_rules! named {
    ($($name:ident)*) => { &[$((Errno::$name, concat!("E", stringify!($name)))),*] };
}

/// The errnos with other names in rustix. `EOPNOTSUPP` is `ENOTSUP` too, which is Node's name.
const OTHERS: &[(Errno, &str)] =
    &[(Errno::ACCESS, "EACCES"), (Errno::TOOBIG, "E2BIG"), (Errno::OPNOTSUPP, "ENOTSUP")];

const NAMES: &[(Errno, &str)] = named!(
        ADDRINUSE ADDRNOTAVAIL ADV AFNOSUPPORT AGAIN ALREADY BADE BADF BADFD BADMSG BADR BADRQC BADSLT
        BFONT BUSY CANCELED CHILD CHRNG COMM CONNABORTED CONNREFUSED CONNRESET DEADLK DESTADDRREQ DOM
        DOTDOT DQUOT EXIST FAULT FBIG HOSTDOWN HOSTUNREACH HWPOISON IDRM ILSEQ INPROGRESS INTR INVAL IO
        ISCONN ISDIR ISNAM KEYEXPIRED KEYREJECTED KEYREVOKED L2HLT L2NSYNC L3HLT L3RST LIBACC LIBBAD
        LIBEXEC LIBMAX LIBSCN LNRNG LOOP MEDIUMTYPE MFILE MLINK MSGSIZE MULTIHOP NAMETOOLONG NAVAIL
        NETDOWN NETRESET NETUNREACH NFILE NOANO NOBUFS NOCSI NODATA NODEV NOENT NOEXEC NOKEY NOLCK NOLINK
        NOMEDIUM NOMEM NOMSG NONET NOPKG NOPROTOOPT NOSPC NOSR NOSTR NOSYS NOTBLK NOTCONN NOTDIR NOTEMPTY
        NOTNAM NOTRECOVERABLE NOTSOCK NOTTY NOTUNIQ NXIO OVERFLOW OWNERDEAD PERM PFNOSUPPORT PIPE PROTO
        PROTONOSUPPORT PROTOTYPE RANGE REMCHG REMOTE REMOTEIO RESTART RFKILL ROFS SHUTDOWN SOCKTNOSUPPORT
        SPIPE SRCH SRMNT STALE STRPIPE TIME TIMEDOUT TOOMANYREFS TXTBSY UCLEAN UNATCH USERS XDEV XFULL
);

/// The name of an error's errno. `None` if no table has it, or if the error has no errno.
pub(crate) fn name(error: &io::Error) -> Option<&'static str> {
    name_of(error.raw_os_error()?)
}

/// The name of a number of errno(3), which is Node's name too; `None` for an unknown number.
#[must_use]
pub fn name_of(errno: i32) -> Option<&'static str> {
    let errno = Errno::from_raw_os_error(errno);
    let mut all = NAMES.iter().chain(OTHERS);
    all.find(|(known, _)| *known == errno).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_of_linux_has_a_name_of_its_own() {
        // Numbers 41 and 58 are unused: `EWOULDBLOCK` and `EDEADLOCK` are other names of `EAGAIN` and `EDEADLK`.
        let numbers = (1..=133).filter(|number| ![41, 58].contains(number));
        let mut names: Vec<_> =
            numbers.filter_map(|number| name(&io::Error::from_raw_os_error(number))).collect();
        assert_eq!((names[0], names[4], names[12]), ("EPERM", "EIO", "EACCES"));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 131);
    }

    #[test]
    fn an_unknown_or_missing_errno_has_no_name() {
        assert_eq!(name(&io::Error::from_raw_os_error(511)), None);
        assert_eq!(name(&io::Error::other("no system call has failed")), None);
    }
}
