//! Times as ROOT packs them (`TDatime`): year, month, day, hour, minute and second in 32 bits, here in UTC.

use std::time::SystemTime;

/// Seconds since 1970, and the packed time. The format begins in 1995 and ends in 2058; times before and after are its
/// first and its last.
pub(crate) fn packed(time: SystemTime) -> (u64, u32) {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let Some(year) = year.checked_sub(1995) else {
        return (seconds, 1 << 22 | 1 << 17);
    };
    if year > 63 {
        return (seconds, 63 << 26 | 12 << 22 | 31 << 17 | 23 << 12 | 59 << 6 | 59);
    }
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let date = (year << 26) | (month << 22) | (day << 17) | (hour << 12) | (minute << 6) | second;
    (seconds, date as u32)
}

/// Year, month and day of a day that is counted from 1 January 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    // The last year of the format ends the search: a clock may say anything.
    while year < 2100 && left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_leap_day_is_a_day() {
        // 29 February 2024, 23:59:58 UTC.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_251_198);
        assert_eq!(packed(time).1, 29 << 26 | 2 << 22 | 29 << 17 | 23 << 12 | 59 << 6 | 58);
    }

    #[test]
    fn times_that_the_format_cannot_hold_are_its_bounds() {
        assert_eq!(packed(SystemTime::UNIX_EPOCH).1, 1 << 22 | 1 << 17);
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000);
        assert_eq!(packed(far).1 >> 26, 63);
    }
}
