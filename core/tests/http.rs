//! What the codecs' HTTP promises: `Retry-After` in every form, statuses, base URLs, credentials, bodies.

#![allow(clippy::indexing_slicing, reason = "a test may fail by a panic")]

use idv_core::evidence::{FaultKind, NotReady, Outcome};
use idv_core::http::{
    Answer, BaseUrl, BaseUrlError, Headers, Request, basic_authorization, bearer_authorization, classify,
    describe, is_field_text, is_json, json_string_bound, push_json_string, retry_after,
};
use idv_core::secret::Secret;
use idv_core::time::Span;
use proptest::prelude::*;

/// The Gregorian date of a day counted from 1970, by the 400-year cycle of a calendar that begins in March: another way than the one
/// under test.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The three formats of one instant.
fn formats(unix: u64) -> [String; 3] {
    let (year, month, day) = civil(unix / 86_400);
    let weekday = WEEKDAYS[(unix / 86_400 % 7) as usize];
    let month = MONTHS[month as usize - 1];
    let secs = unix % 86_400;
    let time = format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60);
    [
        format!("{}, {day:02} {month} {year:04} {time} GMT", &weekday[..3]),
        format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        format!("{} {month} {day:2} {time} {year:04}", &weekday[..3]),
    ]
}

fn wait(fields: &[(&str, &str)], unix_now: Option<u64>) -> Option<Span> {
    let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    retry_after(Headers(&fields), unix_now)
}

proptest! {
    #[test]
    fn g7_all_three_date_formats_name_the_same_instant(unix in 0_u64..200 * 31_556_952, ahead in 1_u64..4_000_000) {
        let wanted = Some(Span::secs(u32::try_from(ahead).unwrap()));
        for date in formats(unix) {
            for field in formats(unix + ahead) {
                // By the answer's own `Date`, whatever our clock says; the century of a two-digit `Date` needs a clock near it.
                prop_assert_eq!(wait(&[("Date", &date), ("Retry-After", &field)], Some(unix)), wanted, "{} {}", date, field);
                // By our clock.
                prop_assert_eq!(wait(&[("retry-after", &field)], Some(unix)), wanted, "{} {}", unix, field);
            }
        }
        let [fixed, ..] = formats(unix);
        for field in formats(unix + ahead) {
            prop_assert_eq!(wait(&[("date", &fixed), ("retry-after", &field)], Some(0)), wanted, "our clock does not matter");
            prop_assert_eq!(wait(&[("date", &fixed), ("retry-after", &field)], None), wanted);
            prop_assert_eq!(wait(&[("retry-after", &field)], None), None, "nothing to compare with");
            prop_assert_eq!(wait(&[("retry-after", &field)], Some(unix + ahead)), Some(Span::MIN));
            prop_assert_eq!(wait(&[("retry-after", &field)], Some(unix + ahead + 1)), Some(Span::MIN));
        }
    }

    #[test]
    fn g7_seconds_saturate_and_the_longest_field_counts(a in any::<u64>(), b in any::<u128>(), c in "[^0-9]{0,12}") {
        let span = |secs: u128| Span::millis(u32::try_from(secs.saturating_mul(1_000)).unwrap_or(u32::MAX));
        let longest = span(u128::from(a)).max(span(b));
        let fields = [("Retry-After", a.to_string()), ("RETRY-AFTER", c), ("retry-after", format!(" {b}\t"))];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        prop_assert_eq!(wait(&fields, None), Some(longest));
    }

    #[test]
    fn hostile_header_values_never_panic(
        after in prop::collection::vec(any::<u8>(), 0..48),
        date in prop::collection::vec(any::<u8>(), 0..48),
        unix_now in any::<Option<u64>>(),
        status in any::<u16>(),
    ) {
        let fields: [(&str, &[u8]); 2] = [("retry-after", &after), ("date", &date)];
        let _ = retry_after(Headers(&fields), unix_now);
        let _ = classify(status, Headers(&fields), unix_now);
        let _ = is_json(&after);
        let fields: [(&str, &[u8]); 1] = [("content-type", &after)];
        let line = describe(&Answer { status, headers: Headers(&fields), body: &date });
        prop_assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        prop_assert!(line.len() <= 300, "{}", line);
    }

    #[test]
    fn hostile_dates_never_panic(
        date in "[A-Za-z]{0,10}[, ]{1,2}[0-9A-Za-z]{1,3}[ -][0-9A-Za-z]{1,3}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT| [0-9]{4})",
        unix_now in any::<Option<u64>>(),
    ) {
        let _ = wait(&[("retry-after", &date)], unix_now);
        let _ = wait(&[("retry-after", &date)], Some(u64::MAX));
        let _ = wait(&[("date", &date), ("retry-after", &date)], unix_now);
    }

    #[test]
    fn json_strings_read_back_as_written_within_their_bound(text in prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,40}"]) {
        let mut body = Vec::new();
        push_json_string(&mut body, &text);
        prop_assert!(body.len() <= json_string_bound(&text));
        prop_assert_eq!(serde_json::from_slice::<String>(&body).unwrap(), text);
    }

    #[test]
    fn a_path_joins_a_base_with_exactly_one_slash(
        base in "https?://[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?(/[a-z0-9]{1,5}){0,2}/{0,3}", path in "/{0,2}[a-z]{1,5}(/[a-z]{1,5}){0,3}",
    ) {
        let mut url = String::new();
        BaseUrl::parse(&base).unwrap().join(&path, &mut url);
        prop_assert_eq!(url, format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')));
    }

    #[test]
    fn any_text_as_a_base_url_is_taken_or_refused_without_a_panic(text in any::<String>(), rest in "[ -~]{0,20}") {
        let _ = BaseUrl::parse(&text);
        for scheme in ["http://", "https://"] {
            if let Ok(url) = BaseUrl::parse(&format!("{scheme}{rest}")) {
                prop_assert!(!url.as_str().contains(['?', '#', ' ', '\\']), "{url}");
                prop_assert!(!rest.split('/').next().unwrap_or_default().contains('@'), "{url}");
            }
        }
    }
}

#[test]
fn retry_after_reads_the_examples_of_the_standard() {
    let now = Some(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
    for date in
        ["Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"]
    {
        assert_eq!(wait(&[("Retry-After", date)], now), Some(Span::mins(1)), "{date}");
    }
    // A leap second is the next minute's first (RFC 9110, 5.6.7, takes it).
    let leap = wait(&[("Retry-After", "Sun, 06 Nov 1994 08:49:60 GMT")], now);
    assert_eq!(leap, Some(Span::secs(23)));
    assert_eq!(wait(&[("Retry-After", "120")], None), Some(Span::mins(2)));
    assert_eq!(wait(&[("Retry-After", "0")], None), Some(Span::MIN));
    assert_eq!(wait(&[("Retry-After", "Thu, 29 Feb 1996 00:00:00 GMT")], now), Some(Span::MAX));
    for unreadable in [
        "",
        "-1",
        "1.5",
        "soon",
        "Sun, 31 Feb 1995 00:00:00 GMT",
        "Sun, 00 Nov 1994 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:50:61 GMT",
        "1 2",
    ] {
        assert_eq!(wait(&[("Retry-After", unreadable)], now), None, "{unreadable}");
    }
}

#[test]
fn a_status_means_the_same_for_every_provider() {
    let meaning = |status| classify(status, Headers(&[("Retry-After", b"7")]), None);
    let failed =
        |kind| Some(Outcome::Failed(idv_core::evidence::Fault { kind, retry_after: Some(Span::secs(7)) }));
    for status in 0..=u16::MAX {
        let wanted = match status {
            200..=299 => None,
            401 | 403 => Some(Outcome::Refused),
            404 => Some(Outcome::NotReady(NotReady::NotFound)),
            408 => failed(FaultKind::TimedOut),
            429 => failed(FaultKind::RateLimited),
            300..=399 => failed(FaultKind::Redirect),
            500..=599 => failed(FaultKind::ServerError),
            _ => failed(FaultKind::UnexpectedStatus),
        };
        assert_eq!(meaning(status), wanted, "{status}");
    }
    let refused = |fields: &[(&str, &[u8])]| classify(403, Headers(fields), None) == Some(Outcome::Refused);
    let html: (&str, &[u8]) = ("Content-Type", b"Text/HTML; charset=UTF-8");
    let cloudflare: (&str, &[u8]) = ("CF-RAY", b"1-CDG");
    let cloudfront: (&str, &[u8]) = ("x-amz-cf-id", b"1");
    assert!(!refused(&[("CF-Mitigated", b"challenge")]));
    assert!(!refused(&[html, cloudflare]) && !refused(&[cloudfront, html]));
    assert!(
        refused(&[html])
            && refused(&[cloudflare])
            && refused(&[("content-type", b"application/json"), cloudfront])
    );
}

/// What the log is told of an answer: nothing of its body, of its head no more than which of the well-known media types and codings, and
/// what to do. Fuzzing found a secret that stood in a media type.
#[test]
fn g10_an_answer_is_described_by_its_status_type_and_size_and_by_what_to_do() {
    let told = |status, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &[u8])> =
            fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        describe(&Answer { status, headers: Headers(&fields), body: b"Jane Doe" })
    };
    for (status, advice) in [
        (200, ""),
        (301, "; redirects are never followed: check scheme, host and path of the API URL"),
        (399, "; redirects are never followed: check scheme, host and path of the API URL"),
        (400, ""),
        (401, "; the credentials were refused"),
        (403, "; the credentials were refused, or they do not cover this call"),
        (404, "; the id or the path is unknown there: check the API URL if this goes on"),
        (405, "; the path takes no POST: check the API URL"),
        (407, "; a proxy on the way asks for credentials of its own"),
        (413, "; the provider does not accept our request as it is"),
        (422, "; the provider does not accept our request as it is"),
        (429, "; too many calls"),
        (500, ""),
        (524, ""),
    ] {
        assert_eq!(told(status, &[]), format!("status {status}, no media type, 8 bytes{advice}"));
    }
    let edge = [("content-type", "text/html"), ("cf-ray", "1")];
    assert_eq!(
        told(403, &edge),
        "status 403, text/html, 8 bytes; the network before the provider stopped the call: ask the provider to let this address through"
    );

    for (value, shown) in [
        ("application/json", "application/json"),
        ("Text/HTML; charset=UTF-8", "text/html"),
        ("text/secret-key", "another media type"),
        ("text/h\u{e9}", "another media type"),
        ("json", "another media type"),
        ("", "no media type"),
        (" ; charset=UTF-8", "no media type"),
    ] {
        assert_eq!(told(200, &[("content-type", value)]), format!("status 200, {shown}, 8 bytes"));
    }
    for (value, shown) in [
        ("gzip", ", compressed with gzip against our request"),
        ("x-gzip", ", compressed with x-gzip against our request"),
        ("GZIP", ", compressed with gzip against our request"),
        ("secret-key", ", compressed with another coding against our request"),
        ("gzip,br", ", compressed with another coding against our request"),
        ("identity", ""),
        ("Identity", ""),
        ("", ""),
    ] {
        assert_eq!(
            told(200, &[("content-encoding", value)]),
            format!("status 200, no media type{shown}, 8 bytes")
        );
    }
}

/// A request is sent as JSON, whatever stands in an id or a credential: every character is escaped that must be.
#[test]
fn every_character_reads_back_from_a_json_string() {
    for char in '\0'..='\u{2fff}' {
        let mut body = Vec::new();
        push_json_string(&mut body, &String::from(char));
        assert_eq!(serde_json::from_slice::<String>(&body).unwrap(), String::from(char), "{char:?}");
    }
}

#[test]
fn json_is_known_by_its_media_type_whatever_its_case_and_parameters() {
    for yes in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        " application/json ;x=\"a;b\"",
        "application/problem+json",
        "application/vnd.api+JSON;v=1",
    ] {
        assert!(is_json(yes.as_bytes()), "{yes}");
    }
    for no in [
        "",
        "text/html",
        "application/jsonp",
        "json",
        "application/+json",
        "/a+json",
        "application/x-www-form-urlencoded",
        "+json",
    ] {
        assert!(!is_json(no.as_bytes()), "{no}");
    }
}

#[test]
fn a_base_url_is_refused_with_the_reason_and_without_its_text() {
    for (text, wanted) in [
        ("", BaseUrlError::Scheme),
        ("ftp://a", BaseUrlError::Scheme),
        ("a.example", BaseUrlError::Scheme),
        ("https://", BaseUrlError::Host),
        ("https:///path", BaseUrlError::Host),
        ("https://hidden:word@a.example", BaseUrlError::UserInfo),
        ("https://a.example?x=1", BaseUrlError::Query),
        ("https://a.example/p#f", BaseUrlError::Fragment),
        ("https://a.example:", BaseUrlError::Port),
        ("https://a.example:0", BaseUrlError::Port),
        ("https://a.example:65536", BaseUrlError::Port),
        ("https://a.example:8o", BaseUrlError::Port),
        ("https://a.example:+80", BaseUrlError::Port),
        ("https://[::1", BaseUrlError::Port),
        ("https://[::1]x:80", BaseUrlError::Host),
        ("https://[::1]x", BaseUrlError::Host),
        ("https://[::g]", BaseUrlError::Host),
        ("https://a b", BaseUrlError::Character),
        ("https://é.example", BaseUrlError::Character),
        ("https://a.example\r\nx: y", BaseUrlError::Character),
        ("https://a,b", BaseUrlError::Host),
    ] {
        let refused = BaseUrl::parse(text).unwrap_err();
        assert_eq!(refused, wanted, "{text}");
        assert!(!refused.to_string().contains("hidden"));
    }
    for text in
        ["http://127.0.0.1:8787", "https://[::1]:443/", "HTTPS://A.example/prefix/", "http://localhost"]
    {
        assert_eq!(BaseUrl::parse(text).unwrap().as_str(), text.trim_end_matches('/'));
    }
}

#[test]
fn credentials_are_written_as_the_standards_say_and_g10_never_shown() {
    let word = Secret::from("open sesame");
    assert_eq!(basic_authorization("Aladdin", &word), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(bearer_authorization(&Secret::from("t.k")), "Bearer t.k");
    assert!(
        is_field_text("a-Z0._~+/=")
            && !is_field_text("")
            && !is_field_text("a b")
            && !is_field_text("a\r\nb")
            && !is_field_text("é")
    );

    let mut request = Request::new();
    request.method = "POST";
    request.headers.push(("authorization", basic_authorization("Aladdin", &word)));
    push_json_string(&mut request.body, "sesame");
    let fields: [(&str, &[u8]); 1] = [("authorization", b"sesame")];
    let answer = Answer { status: 200, headers: Headers(&fields), body: b"sesame" };
    let shown = format!("{request:?} {answer:?} {:?} {word:?} {}", answer.headers, describe(&answer));
    assert!(!shown.contains("sesame") && !shown.contains("QWxh"), "{shown}");
    assert!(shown.contains("authorization"));
}

#[test]
fn the_announced_length_is_a_plain_number_or_none() {
    let length = |value: &[u8]| Headers(&[("Content-Length", value)]).content_length();
    assert_eq!((length(b" 42 "), length(b"0")), (Some(42), Some(0)));
    for odd in [&b""[..], b"+1", b"-1", b"4 2", b"1, 1", b"99999999999999999999", b"\xff"] {
        assert_eq!(length(odd), None, "{odd:?}");
    }
    assert_eq!(Headers(&[]).content_length(), None);
}

/// Without a clock of ours there is no century to go by: two digits stand for 1970 to 2069.
#[test]
fn g7_a_year_of_two_digits_without_a_clock_lies_in_1970_to_2069() {
    for (year, full) in [(0, 2000), (38, 2038), (69, 2069), (70, 1970), (99, 1999)] {
        let short = |minute: u32| format!("Sunday, 06-Nov-{year:02} 08:{minute:02}:37 GMT");
        let long = |minute: u32| format!("Sun, 06 Nov {full} 08:{minute:02}:37 GMT");
        for (date, field) in [(short(40), long(42)), (long(40), short(42))] {
            assert_eq!(
                wait(&[("date", &date), ("retry-after", &field)], None),
                Some(Span::mins(2)),
                "{date} {field}"
            );
        }
    }
}
