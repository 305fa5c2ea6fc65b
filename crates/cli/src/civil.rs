//! Dates in UTC, in the format of the daytime service.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    year: u64,
    month: usize,
    day: u64,
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// Converts a point in time to UTC. Times before 1970 become the start of 1970.
    pub(crate) fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let days = seconds / 86_400;
        // Howard Hinnant, "chrono-compatible low-level date algorithms": a year starts in March, so
        // the leap day is its last day.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let month = (month_from_march + 2) % 12;
        Self {
            year: era * 400 + year_of_era + u64::from(month < 2),
            month: month as usize,
            day: of_year - (153 * month_from_march + 2) / 5 + 1,
            weekday: ((days + 4) % 7) as usize,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    /// Formats `Tuesday, February 29, 2000 12:34:56-UTC` and CRLF, as RFC 867 suggests.
    pub(crate) fn daytime_line(&self) -> String {
        let Self { year, month, day, weekday, hour, minute, second } = *self;
        let (weekday, month) = (DAYS[weekday], MONTHS[month]);
        format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn date(seconds: u64) -> String {
        Civil::of(UNIX_EPOCH + Duration::from_secs(seconds)).daytime_line()
    }

    #[test]
    fn dates_around_leap_days_and_year_ends_are_correct() {
        for (seconds, expected) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC"),
            (784_111_777, "Sunday, November 6, 1994 08:49:37-UTC"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC"),
            (951_868_800, "Wednesday, March 1, 2000 00:00:00-UTC"),
            (1_704_067_199, "Sunday, December 31, 2023 23:59:59-UTC"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC"),
        ] {
            assert_eq!(date(seconds).trim_end(), expected);
        }
    }
}
