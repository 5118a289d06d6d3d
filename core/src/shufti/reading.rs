//! What an answer or a callback means to a session. Decided here, once, for every runtime.

use super::answers::Document;
use super::event::Event;
use super::lifecycle::SHUFTI;
use super::signature::{Outcome as Signature, Verifier};
use crate::evidence::{Callback, Fault, FaultKind, NotReady, Outcome, Report};
use crate::http::{Answer, classify, describe, is_field_text, retry_after};
use crate::json::Body;
use crate::lifecycle::Channel;
use crate::provider::{
    Authenticity, CallbackReading, Checked, PullAnswer, Statement, TokenAnswer, Unreadable,
};
use crate::secret::Secret;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;

/// Reads the answer to a pull of `reference`; also the reply to the request that created it, which for an offsite verification brings
/// the verdict (R17).
///
/// | answer | meaning |
/// |---|---|
/// | `request.unauthorized`, at any status | refused |
/// | 401, 403 | refused |
/// | 404 | not ready: not found |
/// | `request.invalid` with 2xx, or a 4xx that means nothing else | not ready: invalid |
/// | 429, 408, 3xx, 5xx and other statuses | a fault, with `Retry-After` |
/// | 2xx with a document about `reference` | what its event says |
/// | 2xx with anything else | malformed |
///
/// A signature matters where the body is believed (R16): on 2xx and on `request.invalid`. There a wrong one is a fault, and so is a
/// missing one on 2xx where `require_signature` says so. `request.unauthorized` needs none: for an unknown client there is no key to
/// sign with.
#[must_use]
pub fn read_pull(
    verifier: &Verifier,
    require_signature: bool,
    reference: &str,
    answer: &Answer<'_>,
    unix_now: Option<u64>,
) -> PullAnswer {
    let body = Body::new(answer.body);
    let document = Document::read(&body);
    let event = document.event();
    let by_status = classify(answer.status, answer.headers, unix_now);
    let is_success = by_status.is_none();
    let fault = |kind| Outcome::Failed(Fault { kind, retry_after: retry_after(answer.headers, unix_now) });
    let plain = |outcome, diagnosis: Option<String>| PullAnswer {
        outcome,
        alias: None,
        event: None,
        unsigned_answer: false,
        diagnosis: diagnosis.map(|diagnosis| format!("{diagnosis} ({})", describe(answer))),
    };

    if event == Some(Event::RequestUnauthorized) {
        return plain(Outcome::Refused, Some("the provider says request.unauthorized".to_owned()));
    }
    let is_invalid = event == Some(Event::RequestInvalid);
    let believed = match by_status {
        None => true,
        Some(Outcome::Failed(Fault { kind: FaultKind::UnexpectedStatus, .. })) => {
            is_invalid && (400..500).contains(&answer.status)
        }
        Some(_) => false,
    };
    if let Some(outcome) = by_status.filter(|_| !believed) {
        return plain(outcome, Some("no result by its status".to_owned()));
    }

    let signature = verifier.check(answer.headers, answer.body);
    let is_missing = signature.outcome == Signature::Missing;
    if signature.outcome == Signature::Wrong || (is_missing && is_success && require_signature) {
        return plain(fault(FaultKind::BadSignature), Some(signature.remark));
    }
    let (outcome, diagnosis) = match verdict_of(&document, reference) {
        Ok(outcome) if is_invalid => (outcome, Some(invalid(&document))),
        Ok(outcome) if body.is_repaired() => {
            (outcome, Some("bytes that are not UTF-8 were replaced".to_owned()))
        }
        Ok(outcome) if event.is_none() => (outcome, Some(unknown_event(&document))),
        Ok(outcome) => (outcome, signature.is_odd.then_some(signature.remark)),
        Err(problem) => (fault(FaultKind::Malformed), Some(problem)),
    };
    let unsigned_answer = is_missing && is_success;
    let event = event.filter(|_| !matches!(outcome, Outcome::Failed(_))).map(Event::row);
    PullAnswer { event, unsigned_answer, ..plain(outcome, diagnosis) }
}

/// What a believed body says about `reference`, or what is wrong with it.
fn verdict_of(document: &Document<'_>, reference: &str) -> Result<Outcome, String> {
    if let Some(unreadable) = document.unreadable() {
        return Err(format!("{unreadable}"));
    }
    let word = document.event_word().ok_or("the answer has no `event`")?;
    let event = Event::parse(&word);
    let is_invalid = event == Some(Event::RequestInvalid);
    match document.reference() {
        Some(named) if named == reference => {}
        // An answer that rejects the question need not repeat it.
        None if is_invalid => {}
        None => return Err("the answer has no `reference`".to_owned()),
        Some(_) => return Err("the answer is about another `reference`".to_owned()),
    }
    Ok(if is_invalid {
        Outcome::NotReady(NotReady::Invalid)
    } else {
        Outcome::Report(Report { verdict: event.and_then(Event::verdict), content: document.content() })
    })
}

/// Names the event that has no meaning here (R19), if it looks like one.
fn unknown_event(document: &Document<'_>) -> String {
    let is_name = |text: &str| {
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'))
    };
    match document.event_word().filter(|word| is_name(word)) {
        Some(word) => format!("the event `{word}` is none that we know; it settles nothing"),
        None => "the event is none that we know; it settles nothing".to_owned(),
    }
}

/// Names the parameter that the provider calls invalid. Its words stay out of the log: they may repeat what was sent.
fn invalid(document: &Document<'_>) -> String {
    let is_name =
        |text: &str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let error = document.error();
    let key = error.and_then(|error| error.key()).filter(|key| is_name(key));
    let service = error.and_then(|error| error.service()).filter(|service| is_name(service));
    match (service, key) {
        (Some(service), Some(key)) => format!("the provider says request.invalid: `{key}` of `{service}`"),
        (None, Some(name)) | (Some(name), None) => format!("the provider says request.invalid: `{name}`"),
        (None, None) => "the provider says request.invalid".to_owned(),
    }
}

/// Reads the answer to a request for an access token. How long it lives is not said in it.
#[must_use]
pub fn read_token(verifier: &Verifier, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer {
    let failed = |fault, problem: &str| TokenAnswer::Failed {
        fault,
        diagnosis: Some(format!("{problem} ({})", describe(answer))),
    };
    let fault = |kind| Fault { kind, retry_after: retry_after(answer.headers, unix_now) };
    let refused = || TokenAnswer::Refused { diagnosis: Some(describe(answer)) };
    let body = Body::new(answer.body);
    let document = Document::read(&body);
    if document.event() == Some(Event::RequestUnauthorized) {
        return refused();
    }
    match classify(answer.status, answer.headers, unix_now) {
        None => {}
        Some(Outcome::Refused) => return refused(),
        Some(Outcome::Failed(fault)) => return failed(fault, "no token by its status"),
        Some(Outcome::NotReady(_) | Outcome::Report(_)) => {
            return failed(
                fault(FaultKind::UnexpectedStatus),
                "nothing issues tokens there; check the base URL",
            );
        }
    }
    let signature = verifier.check(answer.headers, answer.body);
    if signature.outcome == Signature::Wrong {
        return failed(fault(FaultKind::BadSignature), &signature.remark);
    }
    if let Some(unreadable) = document.unreadable() {
        return failed(fault(FaultKind::Malformed), &format!("{unreadable}"));
    }
    let token = document.object().get("access_token").and_then(|token| token.nonempty_text());
    match token.map(|token| Secret::new(token.into_owned())) {
        Some(token) if is_field_text(token.reveal()) => TokenAnswer::Received { token, ttl: None },
        Some(_) => {
            failed(fault(FaultKind::Malformed), "the `access_token` holds what no header field can carry")
        }
        None => failed(fault(FaultKind::Malformed), "the answer has no `access_token`"),
    }
}

/// Reads a callback whose signature was checked. A signed body that cannot be read, or says no event, is a signal: something changed.
#[must_use]
pub fn read_callback(body: &[u8], checked: &Checked) -> CallbackReading {
    let body = Body::new(body);
    let document = Document::read(&body);
    let mut reading = hint(&document, checked);
    if reading.callback == Callback::SignedHint {
        let verdict = document.event().and_then(Event::verdict);
        reading.callback = Callback::Signed(Report { verdict, content: document.content() });
    }
    reading
}

/// The same where no callback is evidence: what a signed one states is not digested.
#[must_use]
pub fn read_hint(body: &[u8], checked: &Checked) -> CallbackReading {
    hint(&Document::read(&Body::new(body)), checked)
}

fn hint(document: &Document<'_>, checked: &Checked) -> CallbackReading {
    let id = document.reference();
    let word = document.event_word();
    let event = word.as_deref().and_then(Event::parse);
    let unreadable = document.unreadable().cloned().or_else(|| {
        let problem = "`reference` is missing or empty, expected the verification's id".to_owned();
        id.is_none().then_some(Unreadable { line: 0, column: 0, problem })
    });
    let callback = match checked.authenticity {
        Authenticity::Wrong | Authenticity::Missing => Callback::WrongSignature,
        Authenticity::Unsigned => Callback::Unsigned,
        Authenticity::Signed
            if unreadable.is_some() || word.is_none() || event.is_some_and(Event::is_signal) =>
        {
            Callback::SignedSignal
        }
        Authenticity::Signed => Callback::SignedHint,
    };
    let described = |event: Event| SHUFTI.row(event.row()).is_some_and(|row| row.allows(Channel::Callback));
    let deviation = match (word.is_some(), event) {
        (true, None) => Some("this event stands in none of the provider's documents"),
        (_, Some(event)) if !described(event) => Some("this event is not documented for callbacks"),
        (false, None) | (_, Some(_)) => None,
    };
    CallbackReading {
        deviation,
        id_member: id.is_some().then_some("reference"),
        id: id.map(Cow::into_owned),
        alias: None,
        event: word.map(Cow::into_owned),
        stated: event.map(Event::row),
        callback,
        claims: document.unreadable().is_none().then(|| event.and_then(Event::verdict)).flatten(),
        unreadable,
    }
}

/// The provider's own words and reasons in a body.
///
/// # Errors
/// The body is not readable.
pub fn statement(body: &[u8]) -> Result<Statement, Unreadable> {
    let body = Body::new(body);
    let document = Document::read(&body);
    if let Some(unreadable) = document.unreadable() {
        return Err(unreadable.clone());
    }
    Ok(Statement {
        verdict: document.event().and_then(Event::verdict),
        event: document.event_word().map(Cow::into_owned),
        reasons: document.reasons(),
    })
}
