//! `Retry-After` in any bytes, against a second reading of seconds and of HTTP's three date formats.
//!
//! An input is header fields, a line each; first a line with our clock in seconds since 1970 and a number of seconds to stay away.

use idv_core::http::{Headers, retry_after};
use idv_core::time::Span;

/// Reads the fields with and without a clock, and as many seconds in every format.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut numbers = first.split(' ').map(|word| word.parse::<u64>().ok());
    let (clock, ahead) = (numbers.next().flatten(), numbers.next().flatten());
    let fields: Vec<(String, &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((String::from_utf8_lossy(&line[..colon]).into_owned(), &line[colon + 1..]))
        })
        .collect();
    let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for clock in [clock, None, Some(0), Some(u64::MAX)] {
        let span = retry_after(Headers(&fields), clock);
        assert_eq!(span, expected(&fields, clock), "by the clock {clock:?}");
    }
    if let (Some(clock), Some(ahead)) = (clock, ahead) {
        every_format_names_the_same_moment(clock % LAST_DATE, ahead);
    }
}

/// The first second that has no four-digit year any more, so that the years after it have no date in two formats of three.
const LAST_DATE: u64 = 253_402_300_800;

fn every_format_names_the_same_moment(clock: u64, ahead: u64) {
    // A two-digit year reaches fifty years.
    let ahead = ahead % (40 * 31_556_952);
    let then = clock + ahead;
    if then >= LAST_DATE {
        return;
    }
    let wanted = Some(Span::secs(u32::try_from(ahead).unwrap_or(u32::MAX)));
    for field in formats(then) {
        let fields = [("retry-after", field.as_bytes())];
        assert_eq!(retry_after(Headers(&fields), Some(clock)), wanted, "{field} by the clock {clock}");
        let date = formats(clock)[0].clone();
        let fields = [("Date", date.as_bytes()), ("Retry-After", field.as_bytes())];
        assert_eq!(retry_after(Headers(&fields), None), wanted, "{field} after {date}");
    }
}

/// What the fields mean: the longest wait that one of them asks for.
fn expected(fields: &[(&str, &[u8])], clock: Option<u64>) -> Option<Span> {
    let named = |name: &'static str| {
        fields
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim_ascii())
    };
    let reference = named("date").next().and_then(|value| seconds_of(value, clock)).or(clock);
    let wait = |value: &[u8]| {
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let seconds = if is_number {
            let digits = String::from_utf8_lossy(value);
            // More digits than fit are more than any span.
            u128::from(digits.parse::<u64>().unwrap_or(u64::MAX))
        } else {
            u128::from(seconds_of(value, reference)?.saturating_sub(reference?))
        };
        Some(Span::millis(u32::try_from(seconds * 1_000).unwrap_or(u32::MAX)))
    };
    named("retry-after").filter_map(wait).max()
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// A date, as seconds since 1970; what is earlier counts as then. Dates are told by how many words they have.
fn seconds_of(value: &[u8], around: Option<u64>) -> Option<u64> {
    let text = str::from_utf8(value).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let (year, month, day, time) = match words.as_slice() {
        [weekday, day, month, year, time, gmt] if weekday.ends_with(',') => {
            (is_weekday(weekday, 4..=4) && gmt.eq_ignore_ascii_case("GMT")).then_some(())?;
            (number(year, 4)?, *month, number(day, 2)?, *time)
        }
        [weekday, date, time, gmt] => {
            (is_weekday(weekday, 7..=10) && gmt.eq_ignore_ascii_case("GMT")).then_some(())?;
            let [day, month, year] = date.split('-').collect::<Vec<_>>()[..] else { return None };
            (nearest(number(year, 2)?, around), month, number(day, 2)?, *time)
        }
        [weekday, month, "", day, time, year] if is_weekday(weekday, 3..=3) => {
            (number(year, 4)?, *month, number(day, 1)?, *time)
        }
        [weekday, month, day, time, year] if is_weekday(weekday, 3..=3) => {
            (number(year, 4)?, *month, number(day, 2)?, *time)
        }
        _ => return None,
    };
    let month = 1 + MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let time: Vec<u64> = time.split(':').map(|part| number(part, 2)).collect::<Option<_>>()?;
    let &[hour, minute, second] = time.as_slice() else { return None };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
    if !(1..=most).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(i128::from(year), month as i128, i128::from(day));
    let seconds = days * 86_400 + i128::from(hour * 3_600 + minute * 60 + second);
    Some(if days < 0 { 0 } else { u64::try_from(seconds).unwrap_or(u64::MAX) })
}

/// Letters, and a comma where one more character is asked for than weekdays in short have.
fn is_weekday(word: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    let letters = if *length.start() == 3 { Some(word) } else { word.strip_suffix(',') };
    length.contains(&word.len())
        && letters.is_some_and(|letters| letters.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

fn number(digits: &str, length: usize) -> Option<u64> {
    let is_number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// RFC 9110, 5.6.7: a two-digit year that seems to lie more than fifty years ahead is the latest such year of the past.
fn nearest(year: u64, around: Option<u64>) -> u64 {
    let Some(clock) = around else { return if year < 70 { 2000 + year } else { 1900 + year } };
    let now = 1970 + clock / 31_556_952;
    (now - 49..=now + 50)
        .find(|candidate| candidate % 100 == year)
        .expect("a hundred years hold every ending")
}

/// Days from the first of January 1970, by a calendar whose years begin in March.
fn days_since_1970(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The moment in the three formats of HTTP.
fn formats(unix: u64) -> [String; 3] {
    let days = (unix / 86_400) as i128;
    let years = 1969 + days / 366..;
    let year =
        years.take_while(|year| days_since_1970(*year, 1, 1) <= days).last().expect("a year begins before");
    let months = (1..=12).take_while(|month| days_since_1970(year, *month, 1) <= days);
    let month = months.last().expect("a month begins before");
    let day = days - days_since_1970(year, month, 1) + 1;
    let weekday = WEEKDAYS[(days % 7) as usize];
    let name = MONTHS[month as usize - 1];
    let time = format!("{:02}:{:02}:{:02}", unix / 3_600 % 24, unix / 60 % 60, unix % 60);
    [
        format!("{}, {day:02} {name} {year:04} {time} GMT", &weekday[..3]),
        format!("{weekday}, {day:02}-{name}-{:02} {time} GMT", year % 100),
        format!("{} {name} {day:2} {time} {year:04}", &weekday[..3]),
    ]
}
