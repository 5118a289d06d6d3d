//! An adapter is thin when it contains no decision: no status code, no event name, no delay, no provider. The sources say so. What a server
//! of HTTP must say and wait for by itself is listed, each with its reason.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::shufti::Event;
use idv_tests::source::{Source, Token, files, root};
use std::fmt::Write;

/// The adapters, and what they share.
const ADAPTERS: [&str; 7] = [
    "adapters/ureq",
    "adapters/smol",
    "adapters/async-std",
    "adapters/tokio",
    "adapters/async",
    "adapters/host",
    "adapters/listener",
];

/// Where an adapter may speak for itself.
struct Exception {
    path: &'static str,
    what: &'static str,
    /// How often.
    times: usize,
    reason: &'static str,
}

const fn exception(path: &'static str, what: &'static str, times: usize, reason: &'static str) -> Exception {
    Exception { path, what, times, reason }
}

/// All of them. The server's own bounds never come before the answer that the core decides: its deadline is set behind that one.
const EXCEPTIONS: [Exception; 14] = [
    exception(
        "adapters/listener/src/callbacks.rs",
        "a status code: StatusCode::NOT_FOUND",
        1,
        "a path at which no callbacks are received: there is no account that the core could be asked about",
    ),
    exception(
        "adapters/listener/src/callbacks.rs",
        "a status code: StatusCode::SERVICE_UNAVAILABLE",
        1,
        "in place of a number from the core that HTTP could not carry; there is none",
    ),
    exception(
        "adapters/listener/src/callbacks.rs",
        "a delay: from_millis",
        1,
        "by how much the server's deadline is later than that of the core's answer, so that it never decides",
    ),
    exception(
        "adapters/listener/src/config.rs",
        "a delay: from_millis",
        2,
        "a server's bounds: the default deadline of a request, replaced for callbacks, and the least that a bound may be",
    ),
    exception(
        "adapters/listener/src/config.rs",
        "a delay: from_secs",
        5,
        "a server's bounds: head, idle connection, reply, TLS handshake, drain",
    ),
    exception(
        "adapters/listener/src/connection.rs",
        "a status code: StatusCode::INTERNAL_SERVER_ERROR",
        1,
        "the handler panicked: nobody is left who could say something else",
    ),
    exception(
        "adapters/listener/src/connection.rs",
        "a delay: from_secs",
        1,
        "how long a refused peer may go on sending, so that it reads the answer instead of a reset (RFC 9112, 9.6)",
    ),
    exception(
        "adapters/listener/src/reply.rs",
        "a status code: StatusCode::OK",
        2,
        "stands where no reply is sent at all: the connection is closed or reset (the sandbox)",
    ),
    exception(
        "adapters/listener/src/reply.rs",
        "a delay: from_millis",
        1,
        "how long bytes have to leave before a connection is cut on purpose (the sandbox)",
    ),
    exception(
        "adapters/listener/src/request.rs",
        "a status code: StatusCode::PAYLOAD_TOO_LARGE",
        1,
        "the server's own cap, lifted for callbacks: their cap is the core's",
    ),
    exception(
        "adapters/listener/src/request.rs",
        "a status code: StatusCode::BAD_REQUEST",
        1,
        "a body that is not framed as HTTP frames bodies, or broke off: it never reached the core whole",
    ),
    exception(
        "adapters/listener/src/server.rs",
        "a status code: StatusCode::REQUEST_TIMEOUT",
        1,
        "the server's own deadline, which lies behind the core's answer, passed before the body was there",
    ),
    exception(
        "adapters/listener/src/server.rs",
        "a status code: StatusCode::SERVICE_UNAVAILABLE",
        1,
        "the same, with a handler that did not answer",
    ),
    exception(
        "adapters/listener/src/server.rs",
        "a delay: from_millis",
        1,
        "a pause where the system has no socket to give",
    ),
];

/// The status codes that somebody registered, and 52x, which proxies made up.
const STATUS_CODES: [u64; 72] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307,
    308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421,
    422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520,
    521, 522, 523, 524, 525, 526, 527, 529, 530,
];

/// What judges a status by its class.
const STATUS_CLASSES: [&str; 5] =
    ["is_informational", "is_success", "is_redirection", "is_client_error", "is_server_error"];

/// What makes a span of time out of a number.
const SPANS: [&str; 12] = [
    "from_secs",
    "from_millis",
    "from_micros",
    "from_nanos",
    "from_mins",
    "from_hours",
    "from_secs_f64",
    "secs",
    "millis",
    "mins",
    "hours",
    "days",
];

/// Header fields that mean something to the machines.
const FIELDS: [&str; 5] = ["retry-after", "signature", "sp_signature", "authorization", "www-authenticate"];

/// Whether it is written like the name of a constant.
fn is_constant(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// The decisions in a source.
fn decisions(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let after = |n: usize| source.tokens.get(index + n);
        let next_is = |text: &str| after(1).is_some_and(|next| next.text == text);
        let lower = token.text.to_ascii_lowercase();
        let is_status = token.number().is_some_and(|number| STATUS_CODES.contains(&number))
            || (token.text == "StatusCode" && after(3).is_some_and(|next| is_constant(&next.text)));
        let what = if is_status {
            "a status code"
        } else if STATUS_CLASSES.contains(&&*token.text) {
            "a status's meaning"
        } else if SPANS.contains(&&*token.text) && next_is("(") && after(2).and_then(Token::number).is_some()
        {
            "a delay"
        } else if lower.contains("shufti") || lower.contains("shareid") {
            "a provider"
        } else if let Some(text) = token.quoted() {
            let text = text.to_ascii_lowercase();
            if Event::ALL.iter().any(|event| text.contains(event.as_str())) {
                "an event's name"
            } else if FIELDS.contains(&&*text) {
                "a header field with a meaning"
            } else {
                continue;
            }
        } else {
            continue;
        };
        let constant = match after(3) {
            Some(constant) if token.text == "StatusCode" => format!("::{}", constant.text),
            Some(_) | None => String::new(),
        };
        found.push((token.line, format!("{what}: {}{constant}", token.text)));
    }
    found
}

#[test]
fn no_adapter_decides_anything() {
    let mut found = Vec::new();
    for folder in ADAPTERS {
        for (path, source) in files(folder) {
            let problems = decisions(&source);
            found.extend(problems.into_iter().map(|(line, what)| (path.clone(), line, what)));
        }
    }
    for Exception { path, what, times, reason } in EXCEPTIONS {
        let before = found.len();
        found.retain(|(in_path, _, found)| in_path != path || found != what);
        assert_eq!(before - found.len(), times, "{path}: {what}, excepted because: {reason}");
    }
    let found: Vec<String> =
        found.into_iter().map(|(path, line, what)| format!("{path}:{line}: {what}")).collect();
    assert!(
        found.is_empty(),
        "an adapter moves bytes and keeps time; what follows belongs into the core:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_check_finds_every_kind_of_decision_and_nothing_in_comments_and_tests() {
    let text = r##"
//! A 503 in words, `Duration::from_secs(5)`, verification.accepted.
/// As 404 says, of Shufti.
fn decide(status: u16) -> Option<Duration> { // and 429
    if status == 429 { return Some(Duration::from_secs(5)); }
    if status == 0x1F7 || matches!(status, 5_00..=599) {}
    let _ = (StatusCode::NOT_FOUND, StatusCode::from_u16(status), response.status().is_success());
    let _ = (idv_core::shareid::contract::CADENCE, "verification.accepted", b"request.pending");
    let _ = response.headers().get("Retry-After");
    let _ = (Span::mins(1), Duration::from_millis(wait), Duration::ZERO, 4_096, "bytes", 256);
    tracing::warn!("Shufti answered {}", 202);
}
#[cfg(test)]
mod tests {
    const TEAPOT: u16 = 418;
}
#[cfg(test)]
mod more_tests;
#[cfg(test)]
use std::time::Duration;
const LAST: u16 = 204;
"##;
    let source = Source::read(text);
    let found: Vec<String> =
        decisions(&source).into_iter().map(|(line, what)| format!("{line} {what}")).collect();
    let expected = [
        "5 a status code: 429",
        "5 a delay: from_secs",
        "6 a status code: 0x1F7",
        "6 a status code: 5_00",
        "7 a status code: StatusCode::NOT_FOUND",
        "7 a status's meaning: is_success",
        "8 a provider: shareid",
        "8 an event's name: \"verification.accepted\"",
        "8 an event's name: b\"request.pending\"",
        "9 a header field with a meaning: \"Retry-After\"",
        "10 a delay: mins",
        "11 a provider: \"Shufti answered {}\"",
        "11 a status code: 202",
        "21 a status code: 204",
    ];
    assert_eq!(found, expected);
    assert!(source.test_modules.contains("more_tests"));
    assert_eq!(source.lines(), 10);
}

/// How many lines of a crate, or of a file, hold code.
fn lines_of(path: &str) -> usize {
    if path.ends_with(".rs") {
        return Source::read(&std::fs::read_to_string(root().join(path)).unwrap()).lines();
    }
    files(path).iter().map(|(_, source)| source.lines()).sum()
}

/// The text with the right number behind each `<!-- PATH -->`; and by how many per cent the farthest that stood there was off.
fn with_lines(text: &str) -> (String, usize) {
    let (mut right, mut off) = (String::new(), 0);
    let mut parts = text.split("<!-- ");
    right.push_str(parts.next().unwrap());
    for part in parts {
        let (path, rest) = part.split_once(" -->").unwrap();
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (stood, is): (usize, usize) = (rest[..digits].parse().unwrap(), lines_of(path));
        off = off.max(stood.abs_diff(is) * 100 / is);
        write!(right, "<!-- {path} -->{is}{}", &rest[digits..]).unwrap();
    }
    (right, off)
}

#[test]
fn the_documented_lines_of_code_are_those_of_the_sources() {
    for document in ["docs/adapters.md", "docs/runtimes.md"] {
        let path = root().join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        let (right, off) = with_lines(&text);
        println!("{right}");
        for folder in ADAPTERS {
            assert!(text.contains(&format!("<!-- {folder} -->")), "{document} says nothing of {folder}");
        }
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, right).unwrap();
        } else {
            assert!(off <= 10, "the numbers in {document} are {off} % off; UPDATE_SNAPSHOTS=1 rewrites them");
        }
    }
}
