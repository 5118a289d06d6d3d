//! ShareID's answers: what each means, and in words what is wrong with it.
//!
//! Only a fetch that is answered 200 with a `detail`, and the result itself, are documented. The rest follows the framework that the
//! member `detail` gives away: errors are `{"detail": …}` with a text, or with a list of what is wrong where a request is not accepted.

use super::contract::{Flow, NOT_READY_DETAIL, UNREPEATABLE};
use super::diagnosis::{Hidden, diagnose, members, words};
use super::document::Document;
use super::lifecycle;
use super::requests::Credentials;
use crate::evidence::{Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use crate::http::{Answer, classify, describe, is_field_text, retry_after};
use crate::json::{Body, Kind, Object, Value};
use crate::provider::{PullAnswer, Statement, TokenAnswer, Unreadable};
use crate::secret::Secret;
use crate::time::Span;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

/// Reads the answer to a request for a fetch token.
pub(super) fn token(sent: Credentials<'_>, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer {
    let texts = sent.texts();
    let hidden = Hidden(&texts);
    if let Some(outcome) = classify(answer.status, answer.headers, unix_now) {
        return no_token(outcome, diagnose(answer, hidden));
    }
    let body = Body::new(answer.body);
    match body.object(&UNREPEATABLE).complete().map_err(|unreadable| unreadable.to_string()).and_then(
        |object| {
            let token = token_member(&object, hidden)?;
            Ok(TokenAnswer::Received { token, ttl: lifetime(&object) })
        },
    ) {
        Ok(received) => received,
        Err(problem) => no_token(malformed(), format!("{problem} ({})", describe(answer))),
    }
}

/// Turns what a status means into an answer without a token.
fn no_token(outcome: Outcome, diagnosis: String) -> TokenAnswer {
    let diagnosis = Some(diagnosis);
    match outcome {
        Outcome::Refused => TokenAnswer::Refused { diagnosis },
        Outcome::Failed(fault) => TokenAnswer::Failed { fault, diagnosis },
        // Whoever asks for a token asks for no verification: there is nothing that could be ready later.
        Outcome::NotReady(_) | Outcome::Report(_) => TokenAnswer::Failed {
            fault: Fault { kind: FaultKind::UnexpectedStatus, retry_after: None },
            diagnosis,
        },
    }
}

/// The member `token`, if it can be sent in a header field.
fn token_member(object: &Object<'_>, hidden: Hidden<'_>) -> Result<Secret, String> {
    let token = object.get("token").filter(|token| token.kind() == Kind::String);
    let Some(text) = token.and_then(Value::nonempty_text).map(|text| Secret::new(text.into_owned())) else {
        let problem = match object.get("token") {
            None => "the answer has no `token`",
            Some(_) => "`token` is not a text, or is empty",
        };
        return Err(format!("{problem}; {}", members(object, hidden)));
    };
    if is_field_text(text.reveal()) {
        Ok(text)
    } else {
        Err("`token` holds characters that no header field can carry".to_string())
    }
}

/// `expires_in`, where it is clearly in seconds: OAuth's name, defined in seconds (RFC 6749, 5.1), and a number from one minute to one day.
///
/// ShareID documents ten minutes and no such member. Its first generation sent `expiresIn: 10` without a unit, which fits minutes: that
/// name, and smaller numbers under any, are ignored, for a token that seems to live ten seconds would be asked for again and again.
fn lifetime(object: &Object<'_>) -> Option<Span> {
    let member = object.get("expires_in").filter(|value| value.kind() == Kind::Number)?;
    let secs: u32 = member.raw().parse().ok()?;
    (60..=86_400).contains(&secs).then(|| Span::secs(secs))
}

/// What a start came to. The token serves one user session and lives with the person's device; it pulls nothing.
#[derive(Debug)]
pub struct Started {
    /// The token for ShareID's SDK.
    pub token: Secret,
    /// What the verification is known by: `applicant_id` of an onboarding, `flow_id` of an authentication.
    pub id: String,
}

/// Why a start gave nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotStarted {
    /// What it means: refused credentials or a failure. [`NotReady::NotFound`] is a wrong path or an applicant that is not known.
    pub outcome: Outcome,
    /// What is wrong, in words for the log; without secrets and personal data.
    pub diagnosis: String,
}

/// Reads the answer to a start.
pub(super) fn started(
    flow: Flow,
    sent: Credentials<'_>,
    answer: &Answer<'_>,
    unix_now: Option<u64>,
) -> Result<Started, NotStarted> {
    let texts = sent.texts();
    let hidden = Hidden(&texts);
    if let Some(outcome) = classify(answer.status, answer.headers, unix_now) {
        return Err(NotStarted { outcome, diagnosis: diagnose(answer, hidden) });
    }
    let read = || {
        let body = Body::new(answer.body);
        let object = body.object(&UNREPEATABLE).complete().map_err(|unreadable| unreadable.to_string())?;
        let token = token_member(&object, hidden)?;
        let member = flow.id_member();
        let id = object.get(member).and_then(Value::nonempty_text);
        let id = id.ok_or_else(|| format!("the answer has no `{member}`; {}", members(&object, hidden)))?;
        Ok(Started { token, id: id.into_owned() })
    };
    read().map_err(|problem: String| NotStarted {
        outcome: malformed(),
        diagnosis: format!("{problem} ({})", describe(answer)),
    })
}

/// Reads the answer to a fetch of the verification `id`.
pub(super) fn pull(flow: Flow, id: &str, answer: &Answer<'_>, unix_now: Option<u64>) -> PullAnswer {
    let texts = [id];
    let hidden = Hidden(&texts);
    let nothing = |outcome, diagnosis| PullAnswer {
        outcome,
        alias: None,
        event: lifecycle::stated(outcome),
        unsigned_answer: false,
        diagnosis,
    };
    let body = Body::new(answer.body);
    if is_unknown_path(answer) {
        let diagnosis = format!(
            "{}; so says a web framework that does not have the path: the API URL is not ShareID's, or ends elsewhere than it should",
            diagnose(answer, hidden)
        );
        return nothing(unexpected(answer, unix_now), Some(diagnosis));
    }
    if let Some(outcome) = classify(answer.status, answer.headers, unix_now) {
        // The words for *not ready* count under any status that blames the question.
        let blames_the_question = match outcome {
            Outcome::NotReady(_) => true,
            Outcome::Failed(fault) => {
                fault.kind == FaultKind::UnexpectedStatus && (400..=499).contains(&answer.status)
            }
            Outcome::Refused | Outcome::Report(_) => false,
        };
        let object = if blames_the_question { body.object(&UNREPEATABLE).complete().ok() } else { None };
        let absence = object.and_then(|object| absence(&Document::new(object)));
        return nothing(absence.map_or(outcome, Outcome::NotReady), Some(diagnose(answer, hidden)));
    }
    let object = body.object(&UNREPEATABLE).complete().map_err(|unreadable| unreadable.to_string());
    match object.and_then(|object| Said::of(object, hidden)) {
        Ok(Said::NotReady(NotReady::Documented)) => nothing(Outcome::NotReady(NotReady::Documented), None),
        Ok(Said::NotReady(cause)) => nothing(Outcome::NotReady(cause), Some(diagnose(answer, hidden))),
        Ok(Said::Result(verdict, document)) => match names(flow, id, &document) {
            Ok(alias) => {
                let report = Report { verdict: Some(verdict), content: document.content() };
                PullAnswer { alias, ..nothing(Outcome::Report(report), None) }
            }
            Err(problem) => nothing(malformed(), Some(problem)),
        },
        Err(problem) => nothing(malformed(), Some(format!("{problem} ({})", describe(answer)))),
    }
}

/// Whether these are the words in which the framework that `detail` gives away answers a path that it does not have. ShareID answers an
/// unknown id with 200 (fetch page), so that they speak of a wrong API URL and not of a verification; of other words under 404 that is not
/// certain, and they mean *not ready*, kept as a cause (R7).
fn is_unknown_path(answer: &Answer<'_>) -> bool {
    let body = Body::new(answer.body);
    let detail = || {
        let object = body.object(&UNREPEATABLE).complete().ok()?;
        // Nothing else stands in such an answer.
        let alone = object.iter().count() == 1;
        object.get("detail").filter(|_| alone)?.text()
    };
    answer.status == 404 && detail().is_some_and(|detail| detail == "Not Found")
}

fn unexpected(answer: &Answer<'_>, unix_now: Option<u64>) -> Outcome {
    let retry_after = retry_after(answer.headers, unix_now);
    Outcome::Failed(Fault { kind: FaultKind::UnexpectedStatus, retry_after })
}

/// Checks that the document is about `id`; gives the other id that it names.
fn names(flow: Flow, id: &str, document: &Document<'_>) -> Result<Option<String>, String> {
    let (same, other) = match flow {
        Flow::Onboarding => (document.applicant_id(), document.flow_id()),
        Flow::Authenticate => (document.flow_id(), document.applicant_id()),
    };
    if same.is_some_and(|named| named != id) {
        return Err(format!(
            "the answer names another `{}` than was asked for; it was not used",
            flow.id_member()
        ));
    }
    Ok(other.map(Cow::into_owned))
}

/// What the provider says in a body that reports a verdict.
pub(super) fn statement(bytes: &[u8]) -> Result<Statement, Unreadable> {
    let body = Body::new(bytes);
    let object = body.object(&UNREPEATABLE).complete()?;
    match Said::of(object, Hidden(&[])) {
        Ok(Said::NotReady(_)) => Ok(Statement { verdict: None, event: None, reasons: [].into() }),
        Ok(Said::Result(verdict, document)) => {
            Ok(Statement { verdict: Some(verdict), event: None, reasons: document.reasons().to_vec() })
        }
        Err(problem) => Err(Unreadable { line: 0, column: 0, problem }),
    }
}

/// The verdict that a body states which could be read.
pub(super) fn claimed(document: &Document<'_>) -> Option<Verdict> {
    match (absence(document), document.detail()) {
        (None, None) => document.reasons().verdict(),
        (Some(_), _) | (_, Some(_)) => None,
    }
}

/// What a body that could be read says.
enum Said<'a> {
    /// There is no result yet.
    NotReady(NotReady),
    /// The result.
    Result(Verdict, Document<'a>),
}

impl<'a> Said<'a> {
    /// A result has readable `reasons` and no `detail`. A body that has both, or neither, is not guessed at.
    fn of(object: Object<'a>, hidden: Hidden<'_>) -> Result<Self, String> {
        let document = Document::new(object);
        if let Some(cause) = absence(&document) {
            return Ok(Self::NotReady(cause));
        }
        match (document.detail(), document.reasons().verdict(), document.reasons().problem()) {
            (Some(detail), None, _) => Err(format!("no result but a `detail`: {}", words(detail, hidden))),
            (Some(_), Some(_), _) => {
                Err("the answer holds both `reasons` and `detail`, expected one of them".to_string())
            }
            (None, Some(verdict), _) => Ok(Self::Result(verdict, document)),
            (None, None, problem) => {
                Err(format!("{}; {}", problem.unwrap_or_default(), members(document.object(), hidden)))
            }
        }
    }
}

/// Whether a `detail` says that there is no result: in the documented words, or in others that end in `not found`, for what the flow
/// authenticate says is not documented. Empty `reasons` beside it do not matter, as frameworks like to send every member; given ones do.
fn absence(document: &Document<'_>) -> Option<NotReady> {
    const NOT_FOUND: &str = "not found";
    let detail = document.detail().filter(|detail| detail.kind() == Kind::String)?.text()?;
    let detail = detail.trim();
    let tail = detail.len().checked_sub(NOT_FOUND.len()).and_then(|start| detail.get(start..))?;
    if !tail.eq_ignore_ascii_case(NOT_FOUND) || document.reasons().verdict() == Some(Verdict::Declined) {
        return None;
    }
    let documented = detail.eq_ignore_ascii_case(NOT_READY_DETAIL);
    Some(if documented { NotReady::Documented } else { NotReady::NotFound })
}

fn malformed() -> Outcome {
    Outcome::Failed(Fault { kind: FaultKind::Malformed, retry_after: None })
}
