//! The time zone of the host.

/// The distance of the local time from UTC at a second since 1970, in seconds to the east; 0 if the C library cannot tell.
/// It reads the zone once: `TZ`, or /etc/localtime (tzset(3)).
#[must_use]
pub fn offset(seconds: i64) -> i32 {
    let mut local = std::mem::MaybeUninit::<libc::tm>::zeroed();
    let time: libc::time_t = seconds;
    // SAFETY: both pointers are valid for the call, and localtime_r keeps neither. It may read the environment, which is
    // what other threads of the process do through the C library too: Node changes it by setenv(3) only.
    let told = unsafe { libc::localtime_r(&raw const time, local.as_mut_ptr()) };
    if told.is_null() {
        return 0;
    }
    // SAFETY: all zeros is a valid `tm` (numbers, and a pointer that is not read), and localtime_r has filled it in.
    let local = unsafe { local.assume_init() };
    i32::try_from(local.tm_gmtoff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_offset_follows_summer_time() {
        if std::env::var_os("FAITH_ZONE").is_some() {
            // The run below: 2026-01-01 and 2026-07-01.
            assert_eq!((offset(1_767_225_600), offset(1_782_864_000)), (-12_600, -9_000));
            return;
        }
        // A zone by POSIX rules needs no database. Another process, because this one has read its zone.
        let test = std::env::current_exe().unwrap();
        let status = Command::new(test)
            .args(["--exact", "zone::tests::the_offset_follows_summer_time"])
            .envs([("TZ", "NST3:30NDT,M3.2.0,M11.1.0"), ("FAITH_ZONE", "1")])
            .status();
        assert!(status.unwrap().success());
    }
}
