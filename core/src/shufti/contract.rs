//! What Shufti Pro's documents promise, as constants. Each names its source; where the documents contradict each other, both readings
//! are given and the safer one is taken. All of it can be overridden where it is used, for accounts differ.

use crate::delivery::{self, Schedule, Success};
use crate::rules::Rules;
use crate::session::EvidencePolicy;
use crate::time::Span;
use crate::token::Mode;
use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

/// The base URL of the API. Source: developers.shuftipro.com, verification endpoints, requests. Until 2019 it was
/// `https://shuftipro.com/api/`.
pub const BASE_URL: &str = "https://api.shuftipro.com";

/// `POST`: creates a verification. Source: developers.shuftipro.com, verification endpoints, requests.
pub const VERIFY_PATH: &str = "/";

/// `POST`: asks for the present state of a verification. Source: developers.shuftipro.com, verification endpoints, requests.
pub const STATUS_PATH: &str = "/status";

/// `POST`: deletes a verification and its data. Source: developers.shuftipro.com, verification endpoints, requests.
pub const DELETE_PATH: &str = "/delete";

/// `POST` with HTTP Basic: issues a single-use access token. Source: eidv.shuftipro.com, authorization.
pub const ACCESS_TOKEN_PATH: &str = "/get/access/token";

/// `GET`: name, mode (trial or production) and balance of the account. Source: developers.shuftipro.com, eIDV, requests.
pub const ACCOUNT_INFO_PATH: &str = "/account/info/";

/// `GET`: every declined code with its description. Source: developers.shuftipro.com, video KYC, decline reasons.
pub const DECLINE_REASONS_PATH: &str = "/decline/reasons/";

/// The header field that carries the signature of every HTTP and callback response. Source: developers.shuftipro.com, questionnaire,
/// responses, response signature.
pub const SIGNATURE_HEADER: &str = "signature";

/// The signature's header field from October 2018 to February 2019, still sent beside the other one. Source: change log of Shufti's
/// RESTful API v1.3; developers.shuftipro.com, travel rule.
pub const OLD_SIGNATURE_HEADER: &str = "sp_signature";

/// Clients registered after this day sign by [`Rule::After`](super::signature::Rule::After), earlier ones by
/// [`Rule::Before`](super::signature::Rule::Before); the documents leave the day itself open. Source: developers.shuftipro.com,
/// questionnaire, responses, response signature.
pub const RULE_CHANGE: &str = "2023-03-15";

/// How long an access token may be used, once. Source: eidv.shuftipro.com, authorization, says 10 minutes;
/// developers.shuftipro.com, eIDV, authorization, says one hour.
pub const ACCESS_TOKEN_TTL: Span = Span::mins(10);

/// The window in which calls are counted, per IP address. Source: developers.shuftipro.com, KYC, rate limiting and webhook IPs.
pub const CALL_WINDOW: Span = Span::mins(1);

/// Calls per [`CALL_WINDOW`] of a trial account. Source: developers.shuftipro.com, KYC, rate limiting and webhook IPs.
pub const CALLS_TRIAL: u32 = 20;

/// Calls per [`CALL_WINDOW`] of a production account. Source: developers.shuftipro.com, KYC, rate limiting and webhook IPs, says 60; the
/// page on system insights and request limits says 120.
pub const CALLS_PRODUCTION: u32 = 60;

/// The least time between two pulls of one verification; our own choice, for no cadence is published (developers.shuftipro.com has none).
pub const CADENCE: Span = Span::secs(5);

/// How long a session waits for its first settling verdict, unless told otherwise; our own choice: [`REQUEST_TTL`] and a quarter of an hour
/// for the verification.
pub const DEFAULT_DEADLINE: Span = Span::mins(75);

/// The contract as the machines take it, for HTTP Basic. The budget is that of a trial account, which a production account keeps within
/// too.
pub const RULES: Rules = Rules {
    token_mode: Mode::NotNeeded,
    token_ttl: ACCESS_TOKEN_TTL,
    cadence: CADENCE,
    interval: CADENCE,
    deadline: DEFAULT_DEADLINE,
    call_timeout: Span::secs(10),
    calls: CALLS_TRIAL,
    window: CALL_WINDOW,
    burst: 4,
    evidence: EvidencePolicy::ConfirmByPull,
    watch: None,
    audit: Some(Span::hours(24)),
    callback_timeout: CALLBACK_TIMEOUT,
    callback_window: CALLBACK_WINDOW,
};

/// The status that ends a callback's retries. Source: Shufti's support pages say 200; developers.shuftipro.com, callback logs, takes any
/// 2xx. 200 satisfies both.
pub const CALLBACK_STATUS: u16 = 200;

/// How often a callback is tried at most. Source: Shufti's support pages.
pub const CALLBACK_ATTEMPTS: u8 = 10;

/// The time between two attempts. Source: Shufti's support pages ("15 seconds each", which may also mean the time-out).
pub const CALLBACK_INTERVAL: Span = Span::secs(15);

/// How long Shufti Pro is taken to wait for the answer to one attempt. No document says; our own choice, and the shortest time that a
/// provider of this kind is known to wait.
pub const CALLBACK_TIMEOUT: Span = Span::millis(3_000);

/// How Shufti Pro delivers a callback: 10 attempts, 15 seconds apart (support centre; whether these are the gap or the time limit is not
/// clear there). Its support centre names 200 as success, `developers.shuftipro.com/docs/verification_endpoints/callback_logs` any 2xx:
/// exactly 200 satisfies either.
pub const CALLBACK_DELIVERY: delivery::Policy = delivery::Policy {
    timeout: CALLBACK_TIMEOUT,
    success: Success::Exactly200,
    schedule: Schedule::of([CALLBACK_INTERVAL; CALLBACK_ATTEMPTS as usize - 1]),
    jitter_percent: 0,
};

/// After a silence of this length no automatic retry is to be expected: [`CALLBACK_ATTEMPTS`] times [`CALLBACK_INTERVAL`].
pub const CALLBACK_WINDOW: Span = CALLBACK_INTERVAL.times(CALLBACK_ATTEMPTS as u32);

/// Where callbacks come from: two addresses in the EU, then four in the US. Source: developers.shuftipro.com, KYC, rate limiting and
/// webhook IPs.
pub const CALLBACK_SOURCES: [Ipv4Addr; 6] = [
    Ipv4Addr::new(142, 132, 144, 101),
    Ipv4Addr::new(65, 108, 103, 45),
    Ipv4Addr::new(5, 161, 114, 110),
    Ipv4Addr::new(5, 161, 87, 219),
    Ipv4Addr::new(5, 78, 56, 7),
    Ipv4Addr::new(5, 78, 58, 196),
];

/// The members of a body on which its meaning hangs: one that repeats either could be read in two ways, and is not read (R19).
pub const UNREPEATABLE: [&str; 2] = ["reference", "event"];

/// The largest callback body that is read, in bytes. The documents name no limit; bodies carry no images, so this is ample.
pub const CALLBACK_BODY_CAP: u64 = 4 << 20;

/// After this time an onsite request that nobody finished ends with `request.timeout`; the request's `ttl` (minutes) changes it. Source:
/// developers.shuftipro.com, questionnaire, responses; `ttl` in Shufti's help centre.
pub const REQUEST_TTL: Span = Span::mins(60);

/// The length of a `reference` in characters. Source: developers.shuftipro.com, general parameters. Biometric products take 64 at most.
pub const REFERENCE_LENGTH: RangeInclusive<usize> = 6..=250;

/// The length of the `comment` that goes with a deletion, in characters. Source: developers.shuftipro.com, verification endpoints,
/// requests.
pub const COMMENT_LENGTH: RangeInclusive<usize> = 5..=200;

/// Declined codes that speak of a cancellation or an outage and not of the person, although they come as declines (R18). Source of the
/// meanings: developers.shuftipro.com, declined reasons of the eIDV and face services.
pub const TECHNICAL_CODES: [&str; 8] = [
    "SPDR43",  // the camera could not be used
    "SPDR241", // cancelled by the user
    "SPDR242", // cancelled because a newer request for the user came in
    "SPDR243", // connection lost
    "SPDR244", // version of the BankID app not compatible
    "SPDR245", // BankID app not found, or its QR scan failed
    "SPDR246", // BankID timed out
    "SPDR247", // service unavailable
];
