//! The names of errno(3), which are the codes of what the kernel refuses.

use std::io;

use rustix::io::Errno;

/// The errnos that rustix calls as errno(3) does, but for the E.
macro_rules! named {
    ($($name:ident)*) => { &[$((Errno::$name, concat!("E", stringify!($name)))),*] };
}

/// Those that it calls otherwise. `EOPNOTSUPP` has two names, of which this is Node's.
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

/// The name of an error's errno; `None` of one that is in no table, or where no system call has failed.
pub(crate) fn name(error: &io::Error) -> Option<&'static str> {
    let errno = Errno::from_io_error(error)?;
    let mut all = NAMES.iter().chain(OTHERS);
    all.find(|(known, _)| *known == errno).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_of_linux_has_a_name_of_its_own() {
        // `EWOULDBLOCK` and `EDEADLOCK` are other names of two errnos, and their numbers are free.
        let numbers = (1..=133).filter(|number| ![41, 58].contains(number));
        let mut names: Vec<_> =
            numbers.filter_map(|number| name(&io::Error::from_raw_os_error(number))).collect();
        assert_eq!((names[0], names[4], names[12]), ("EPERM", "EIO", "EACCES"));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 131);
    }

    #[test]
    fn no_name_is_made_up() {
        assert_eq!(name(&io::Error::from_raw_os_error(511)), None);
        assert_eq!(name(&io::Error::other("no system call has failed")), None);
    }
}
