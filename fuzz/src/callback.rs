//! A callback, from the bytes of its head and body to its answer and to what a session hears of it.

mod reception;

use crate::codec::{discreet, place_is_inside};
use crate::message::{BEARER, Message, OLD_SECRET, SECRET, valid_signatures};
use idv_core::evidence::{Callback, Evidence, Outcome};
use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::provider::{Authenticity, CallbackReading, Checked, Provider};
use idv_core::receipt::{Action, Input, Policy, Receipt};
use idv_core::secret::Secret;
use idv_core::shareid::{self, Flow};
use idv_core::shufti::{self, contract, signature::Rule};
use idv_core::store::{CommitReceipt, MemoryStore, Record};
use idv_core::time::{Instant, Span};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Runs the message past every kind of account.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let message = Message::read(input);
    for rule in [Rule::Before, Rule::After, Rule::Either] {
        let account = shufti::Account::builder("client", Secret::from(SECRET))
            .also_accept(Secret::from(OLD_SECRET))
            .rule(rule)
            .callback_body_cap(if rule == Rule::Before { SMALL_CAP } else { contract::CALLBACK_BODY_CAP })
            .build()
            .expect("the account is in order");
        one_account(&message, Arc::new(account), Promise::Signature(rule));
    }
    for flow in [Flow::Authenticate, Flow::Onboarding] {
        let account = || {
            shareid::Account::new("https://shareid.example", flow, Secret::from("hash"), Secret::from("key"))
                .expect("the account is in order")
        };
        one_account(&message, Arc::new(account().with_callback_body_cap(SMALL_CAP)), Promise::Nothing);
        let with_bearer =
            account().with_callback_bearer(Secret::from(BEARER)).expect("the bearer is in order");
        one_account(&message, Arc::new(with_bearer), Promise::Bearer);
    }
}

/// What every callback of the provider brings, or is not one.
enum Promise {
    Signature(Rule),
    Bearer,
    Nothing,
}

/// A cap that inputs reach.
const SMALL_CAP: u64 = 300;

fn one_account(message: &Message<'_>, shared: Arc<dyn Provider>, promise: Promise) {
    let account = &*shared;
    let fields: Vec<(&str, &[u8])> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let headers = Headers(&fields);
    let checked = check(account, headers, message.chunks());
    let whole = check(account, headers, std::iter::once(message.body));
    assert_eq!(checked, whole, "how the body is cut into chunks changes nothing");
    assert_eq!(checked.digest[..], Sha256::digest(message.body)[..], "the digest is of the raw body");
    discreet(checked.remark.as_deref());

    match promise {
        Promise::Signature(rule) => signature_is_right(rule, message, headers, &checked),
        Promise::Bearer => assert_eq!(checked.authenticity, by_bearer(headers), "the agreed bearer"),
        Promise::Nothing => assert_eq!(checked.authenticity, Authenticity::Unsigned, "nobody signed this"),
    }
    let reading = account.read_callback(message.body, &checked);
    assert_eq!(reading, account.read_callback(message.body, &checked), "G8: reading twice gives the same");
    assert_eq!(
        CallbackReading { callback: reading.callback.hint(), ..reading.clone() },
        account.read_hint(message.body, &checked),
        "R2: the hint leaves out the report and nothing else"
    );
    reading_is_right(message, account, headers, &checked, &reading);
    answer_is_right(message, account, &checked, &reading);
    let expected = expected_status(message, account, &checked, &reading);
    reception::goes_its_way(message, &shared, &checked, expected);
}

fn check<'a>(
    account: &dyn Provider,
    headers: Headers<'_>,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> Checked {
    let mut check = account.check_callback(headers);
    chunks.for_each(|chunk| check.update(chunk));
    check.finish()
}

/// G4 and its converse, against signatures computed a second time.
fn signature_is_right(rule: Rule, message: &Message<'_>, headers: Headers<'_>, checked: &Checked) {
    let valid = valid_signatures(rule, message.body);
    let claims: Vec<&[u8]> = headers.all("signature").chain(headers.all("sp_signature")).collect();
    if checked.authenticity == Authenticity::Signed {
        let carries = |signature: &String| {
            claims
                .iter()
                .any(|claim| claim.to_ascii_lowercase().windows(64).any(|part| part == signature.as_bytes()))
        };
        assert!(valid.iter().any(carries), "G4: no header carries a valid signature");
        assert!(!message.body.is_empty(), "an empty body is not signed by anybody");
    }
    if let [claim] = claims[..]
        && valid.iter().any(|signature| signature.as_bytes() == claim)
        && !message.body.is_empty()
    {
        assert_eq!(checked.authenticity, Authenticity::Signed, "a valid signature was not recognised");
    }
    if claims.is_empty() {
        assert_eq!(checked.authenticity, Authenticity::Missing);
    }
}

/// Who vouches for it where a bearer was agreed (RFC 6750): any `Authorization` field may hold it.
fn by_bearer(headers: Headers<'_>) -> Authenticity {
    let words = |value: &[u8]| {
        let text = String::from_utf8_lossy(value.trim_ascii()).into_owned();
        let (scheme, rest) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| rest.trim_matches(|c: char| c.is_ascii_whitespace()).to_owned())
    };
    let presented: Vec<String> = headers.all("authorization").filter_map(words).collect();
    match presented.iter().any(|bearer| bearer == BEARER) {
        true => Authenticity::Unsigned,
        false if presented.is_empty() => Authenticity::Missing,
        false => Authenticity::Wrong,
    }
}

fn reading_is_right(
    message: &Message<'_>,
    account: &dyn Provider,
    headers: Headers<'_>,
    checked: &Checked,
    reading: &CallbackReading,
) {
    assert!(
        reading.callback.evidence() == Evidence::Unsigned || checked.authenticity == Authenticity::Signed,
        "G4: evidence that nobody vouches for"
    );
    if let Some(unreadable) = &reading.unreadable {
        place_is_inside(&Body::new(message.body), unreadable);
    }
    let statement = account.statement(message.body);
    let stated = statement.as_ref().ok().and_then(|statement| statement.verdict);
    assert_eq!(reading.claims, stated, "a body claims what it states");
    let Callback::Signed(report) = reading.callback else { return };
    if report.verdict.is_some() {
        let statement = statement.expect("a body that reports a verdict has a statement");
        assert_eq!(statement.verdict, report.verdict, "the verdict handed over is the one that was adopted");
        assert_eq!(statement.event, reading.event, "both name the same event");
    }
    // The same bytes as the answer to a pull state the same: otherwise each road would revise the other (R5).
    if let Some(id) = &reading.id {
        let answer = account.read_pull(id, &Answer { status: 200, headers, body: message.body }, None);
        if let Outcome::Report(pulled) = answer.outcome {
            assert_eq!(pulled, report, "R5: content does not depend on the road");
        }
        discreet(answer.diagnosis.as_deref());
    }
}

/// Steps a receipt as a driver does, with a store that works and time in hand.
fn answer_is_right(
    message: &Message<'_>,
    account: &dyn Provider,
    checked: &Checked,
    reading: &CallbackReading,
) {
    let policy = Policy::builder(account.callback_body_cap()).build().expect("the cap is not zero");
    let mut store = MemoryStore::new(8, 1 << 26);
    let mut now = Instant::from_millis(1_000);
    let mut receipt = Receipt::start(1, now, &policy);
    let mut answers = Vec::new();
    let mut hints = 0;

    let length = u64::try_from(message.body.len()).ok();
    let mut inputs = vec![Input::head(&message.method, Some(message.media_type.as_bytes()), length)];
    inputs.extend(message.chunks().map(|chunk| Input::Chunk { len: chunk.len() as u32 }));
    inputs
        .push(Input::Complete { authenticity: checked.authenticity, readable: reading.unreadable.is_none() });
    inputs.reverse();
    while let Some(input) = inputs.pop() {
        now = now.after(Span::MIN);
        let step = receipt.step(Cx::new(now, &policy, 0), input);
        assert_ne!(step.disposition, Disposition::Illegal, "{input:?}");
        assert_eq!(step.next, receipt.next(&policy));
        for action in step.actions {
            match action {
                Action::Record { op } => {
                    let record = Record {
                        provider: account.name(),
                        digest: checked.digest,
                        authenticity: checked.authenticity,
                        id: reading.id.as_deref(),
                        event: reading.event.as_deref(),
                        remark: checked.remark.as_deref(),
                        received_unix_ms: 0,
                        body: message.body,
                    };
                    let commit = CommitReceipt::obtain(&mut store, op, &record).expect("there is room");
                    inputs.push(Input::Committed(commit));
                }
                Action::Answer(answer) => answers.push(answer.status()),
                Action::Apply { position, duplicate } => {
                    assert!(store.record(position).is_some() && !duplicate, "applied without a record");
                }
                Action::Hint(callback) => {
                    assert_eq!(callback.evidence(), Evidence::Unsigned, "a hint is no evidence");
                    hints += 1;
                }
            }
        }
    }
    assert_eq!(receipt.next(&policy), Next::Over, "a callback that arrived whole is answered");
    assert_eq!(answers, [expected_status(message, account, checked, reading)]);
    assert_eq!(store.len(), usize::from(answers == [200]), "G5: 200 is exactly what was recorded");
    assert!(answers != [200] || hints == 0, "what was recorded in time is applied, not hinted");
}

/// What the rules R16 and R19 and the caps say, in their own order.
fn expected_status(
    message: &Message<'_>,
    account: &dyn Provider,
    checked: &Checked,
    reading: &CallbackReading,
) -> u16 {
    let is_json = message
        .media_type
        .split(';')
        .next()
        .is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"));
    match checked.authenticity {
        _ if message.method != "POST" => 405,
        _ if message.body.len() as u64 > account.callback_body_cap() => 413,
        _ if message.body.is_empty() => 400,
        Authenticity::Signed => 200,
        Authenticity::Wrong | Authenticity::Missing => 401,
        Authenticity::Unsigned if !is_json => 415,
        Authenticity::Unsigned if reading.unreadable.is_some() => 400,
        Authenticity::Unsigned => 200,
    }
}
