//! `Retry-After` in both its forms, and the three date formats of HTTP.

use super::Headers;
use crate::time::Span;

const DAY: u64 = 86_400;

/// How long the peer asks us to stay away (RFC 9110, `Retry-After`): seconds, or a date in any of HTTP's three formats.
///
/// A date is compared with the answer's own `Date`, so that a wrong clock on either side does not matter; without a readable `Date`
/// with `unix_now` (seconds since 1970); without both it is ignored. Zero and dates that have passed give [`Span::MIN`], more than a
/// [`Span`] holds gives [`Span::MAX`]. Of several fields the longest counts, unreadable ones are ignored. The caller caps the result.
#[must_use]
pub fn retry_after(headers: Headers<'_>, unix_now: Option<u64>) -> Option<Span> {
    let reference =
        headers.first("date").and_then(|value| parse_date(value.trim_ascii(), unix_now)).or(unix_now);
    headers
        .all("retry-after")
        .filter_map(|value| {
            let value = value.trim_ascii();
            let secs = match delta_seconds(value) {
                Some(secs) => secs,
                None => parse_date(value, reference)?.saturating_sub(reference?),
            };
            let millis = secs.saturating_mul(1_000).min(u64::from(u32::MAX));
            Some(u32::try_from(millis).map_or(Span::MAX, Span::millis))
        })
        .max()
}

/// One or more digits, saturating.
fn delta_seconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    })
}

/// An HTTP date (RFC 9110, 5.6.7) as seconds since 1970; earlier dates give 0. The day of the week is not checked against the date.
///
/// `around` gives the century of a two-digit year: the latest year that is at most fifty years after it. Without it 70 to 99 are taken
/// for 1970 to 1999.
fn parse_date(value: &[u8], around: Option<u64>) -> Option<u64> {
    let mut scan = Scan(value);
    let weekday = scan.letters();
    let (year, month, day, time);
    match (weekday.len(), scan.next()?) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        (3, b',') => {
            scan.literal(b' ')?;
            day = scan.digits(2)?;
            scan.literal(b' ')?;
            month = scan.month()?;
            scan.literal(b' ')?;
            year = scan.digits(4)?;
            scan.literal(b' ')?;
            time = scan.time()?;
            scan.gmt()?;
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        (6..=9, b',') => {
            scan.literal(b' ')?;
            day = scan.digits(2)?;
            scan.literal(b'-')?;
            month = scan.month()?;
            scan.literal(b'-')?;
            year = full_year(scan.digits(2)?, around);
            scan.literal(b' ')?;
            time = scan.time()?;
            scan.gmt()?;
        }
        // Sun Nov  6 08:49:37 1994
        (3, b' ') => {
            month = scan.month()?;
            scan.literal(b' ')?;
            day = if scan.0.first() == Some(&b' ') {
                scan.literal(b' ')?;
                scan.digits(1)?
            } else {
                scan.digits(2)?
            };
            scan.literal(b' ')?;
            time = scan.time()?;
            scan.literal(b' ')?;
            year = scan.digits(4)?;
        }
        _ => return None,
    }
    if !scan.0.is_empty() || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let days = days_to_year(year).checked_add(days_to_month(year, month))?.checked_add(day - 1)?;
    // Days are counted from the year 1; 1970 began 719162 days later.
    Some(days.checked_sub(719_162).map_or(0, |days| days.saturating_mul(DAY).saturating_add(time)))
}

fn full_year(two_digits: u64, around: Option<u64>) -> u64 {
    match around {
        Some(unix) => {
            // The mean length of a year is exact enough to name a century.
            let latest = 1970_u64.saturating_add(unix / 31_556_952).saturating_add(50);
            latest - (latest - two_digits) % 100
        }
        None if two_digits < 70 => 2000 + two_digits,
        None => 1900 + two_digits,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the first of January of the year 1 to the first of January of `year`.
const fn days_to_year(year: u64) -> u64 {
    let past = year.saturating_sub(1);
    past * 365 + past / 4 - past / 100 + past / 400
}

fn days_to_month(year: u64, month: u64) -> u64 {
    (1..month).map(|earlier| days_in_month(year, earlier)).sum()
}

/// What is left to read of a date.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn letters(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (letters, rest) = self.0.split_at(end);
        self.0 = rest;
        letters
    }

    /// Exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        delta_seconds(digits)
    }

    fn month(&mut self) -> Option<u64> {
        const MONTHS: [&[u8]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        let name = self.letters();
        (1..).zip(MONTHS).find(|(_, month)| name.eq_ignore_ascii_case(month)).map(|(number, _)| number)
    }

    /// `08:49:37` in seconds; the sixtieth second of a leap second is the next minute's first.
    fn time(&mut self) -> Option<u64> {
        let hour = self.digits(2)?;
        self.literal(b':')?;
        let minute = self.digits(2)?;
        self.literal(b':')?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3_600 + minute * 60 + second)
    }

    fn gmt(&mut self) -> Option<()> {
        self.literal(b' ')?;
        self.letters().eq_ignore_ascii_case(b"GMT").then_some(())
    }
}
