//! Dates and times of day as digits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// Whole seconds since 1970, and the milliseconds after them. A time before 1970 counts as 1970.
pub(crate) fn split(time: SystemTime) -> (i64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_millis())
}

/// Writes the date and the time of day of a second since 1970, with `between` them: `2026-11-29 13:03:07`.
pub(crate) fn date_and_time(out: &mut String, seconds: i64, between: char) {
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    digits(out, year, 4);
    for part in [month, day] {
        out.push('-');
        digits(out, part, 2);
    }
    out.push(between);
    digits(out, second / 3600, 2);
    for part in [second / 60 % 60, second % 60] {
        out.push(':');
        digits(out, part, 2);
    }
}

/// Writes a time zone's distance from UTC in seconds: `+01:00`.
pub(crate) fn zone(out: &mut String, east: i32) {
    out.push(if east < 0 { '-' } else { '+' });
    let minutes = i64::from(east.unsigned_abs() / 60);
    digits(out, minutes / 60, 2);
    out.push(':');
    digits(out, minutes % 60, 2);
}

/// Writes a time in UTC: `2026-11-29T13:03:07.123Z`.
pub(crate) fn utc(out: &mut String, time: SystemTime) {
    let (seconds, milliseconds) = split(time);
    date_and_time(out, seconds, 'T');
    fraction(out, milliseconds);
    out.push('Z');
}

/// Writes milliseconds after a point.
pub(crate) fn fraction(out: &mut String, milliseconds: u32) {
    out.push('.');
    digits(out, i64::from(milliseconds), 3);
}

/// Writes a number that is not below zero with at least so many digits.
fn digits(out: &mut String, number: i64, least: u32) {
    let mut place = 10_i64.pow(least - 1);
    while number / place >= 10 {
        place *= 10;
    }
    while place > 0 {
        let digit = u8::try_from(number / place % 10).unwrap_or(0);
        out.push(char::from(b'0' + digit));
        place /= 10;
    }
}

/// The date of a day since 1970 in the Gregorian calendar. The year begins in March, so that the leap day is its last; 400
/// years have 146,097 days.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: u64) -> String {
        let mut out = String::new();
        utc(&mut out, UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7));
        out
    }

    #[test]
    fn times_are_those_of_the_gregorian_calendar() {
        assert_eq!(shown(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(shown(951_782_399), "2000-02-28T23:59:59.007Z");
        assert_eq!(shown(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(shown(951_868_800), "2000-03-01T00:00:00.007Z");
        assert_eq!(shown(1_796_043_787), "2026-11-30T13:03:07.007Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00.007Z");
        assert_eq!(shown(253_402_300_800), "10000-01-01T00:00:00.007Z");
    }

    #[test]
    fn zones_are_hours_and_minutes_from_utc() {
        let shown = |east| {
            let mut out = String::new();
            zone(&mut out, east);
            out
        };
        assert_eq!([0, 3600, 20_700, -12_600].map(shown), ["+00:00", "+01:00", "+05:45", "-03:30"]);
    }
}
