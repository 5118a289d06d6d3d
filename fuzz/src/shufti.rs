//! Shufti's codec: an answer or callback of any bytes, read and written again.

use crate::codec::{NOW, bare, discreet, lend, meaning_of, reads_alike, rewritten, sorted, status};
use crate::message::{Message, OLD_SECRET, SECRET};
use crate::tree::Tree;
use idv_core::evidence::{ContentDigest, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::json::Body;
use idv_core::provider::{Provider, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::shufti::answers::{Document, Mark};
use idv_core::shufti::signature::Outcome as Signature;
use idv_core::shufti::{Account, contract};
use idv_core::{http, shufti};

/// Reads the message as every kind of answer, and again in every style.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let message = Message::read(input);
    let body = Body::new(message.body);
    let tree = reads_alike(&body, &contract::UNREPEATABLE);
    let document = Document::read(&body);
    assert_eq!(document.unreadable().is_none(), tree.is_some());
    let said = Said::of(&document);
    let reference = document.reference().map_or_else(|| "kyc-1".to_owned(), String::from);

    for requires_signature in [false, true] {
        let account = account(requires_signature);
        for reference in [reference.as_str(), "another"] {
            pull_is_right(&account, requires_signature, &message, reference, tree.as_ref());
        }
        token_is_right(&account, &message, tree.as_ref());
    }
    let account = account(false);
    let statement = account.statement(message.body);
    assert_eq!(statement.is_ok(), tree.is_some(), "a body that can be read has a statement");
    let Some(tree) = tree else { return };
    assert_eq!(document.reference().as_deref(), tree.get("reference").and_then(Tree::word));
    assert_eq!(document.event_word().as_deref(), tree.get("event").and_then(Tree::word));

    // What parses survives a round trip of meaning, R5 above all: the digest is of what is said, not of how it is written.
    let pulled = account.read_pull(&reference, &bare(message.body), NOW);
    let pulled = meaning_of(pulled);
    for written in rewritten(&tree) {
        let body = Body::new(&written);
        assert_eq!(Said::of(&Document::read(&body)), said, "the same in another style means something else");
        let answer = account.read_pull(&reference, &bare(&written), NOW);
        assert_eq!(meaning_of(answer), pulled, "the same in another style");
    }
}

fn account(requires_signature: bool) -> Account {
    shufti::Account::builder("client", Secret::from(SECRET))
        .also_accept(Secret::from(OLD_SECRET))
        .require_signed_answers(requires_signature)
        .build()
        .expect("the account is in order")
}

/// Everything that a document says, in an order of its own.
#[derive(PartialEq, Debug)]
struct Said {
    texts: [Option<String>; 8],
    error: [Option<String>; 3],
    results: Vec<(String, String, Option<Mark>)>,
    codes: Vec<(String, String)>,
    names: Vec<(&'static str, String)>,
    device: Vec<String>,
    reasons: Vec<(String, Option<String>, Option<String>, bool)>,
    content: ContentDigest,
}

impl Said {
    fn of(document: &Document<'_>) -> Self {
        let owned = |text: Option<std::borrow::Cow<'_, str>>| text.map(String::from);
        let error = document.error();
        let mut results: Vec<_> = document
            .verification_result()
            .map(|result| (result.service.to_string(), result.check.to_string(), result.mark()))
            .collect();
        results.sort();
        let plain = document.declined_codes().map(|code| (String::new(), code.into_owned()));
        let of_services = document
            .services_declined_codes()
            .map(|(service, code)| (service.into_owned(), code.into_owned()));
        let mut codes: Vec<_> = plain.chain(of_services).collect();
        codes.sort();
        let name =
            |of: &'static str| move |(name, _): (std::borrow::Cow<'_, str>, _)| (of, name.into_owned());
        let mut names: Vec<_> = document.verification_data().map(name("data")).collect();
        names.extend(document.additional_data().map(name("additional")));
        names.extend(document.proofs().map(name("proofs")));
        names.extend(document.warnings().map(name("warnings")));
        names.extend(document.others().map(name("others")));
        names.extend(document.object().iter().map(name("all")));
        names.sort();
        let agent = document.agent().map(|agent| {
            let flags = [agent.is_desktop(), agent.is_phone()].map(|flag| format!("{flag:?}"));
            let texts = [agent.useragent(), agent.device_name(), agent.browser_name()];
            [flags.to_vec(), texts.map(|text| format!("{text:?}")).to_vec()].concat()
        });
        let place = document.geolocation().map(|place| {
            let texts = [place.ip(), place.country_code(), place.latitude(), place.currency()];
            texts.map(|text| format!("{text:?}")).to_vec()
        });
        Self {
            texts: [
                document.reference(),
                document.event_word(),
                document.token(),
                document.verification_url(),
                document.email(),
                document.country(),
                document.customer_unique_id(),
                document.declined_reason(),
            ]
            .map(owned),
            error: [
                owned(error.and_then(|error| error.service())),
                owned(error.and_then(|error| error.key())),
                owned(error.and_then(|error| error.message())),
            ],
            results,
            codes,
            names,
            device: agent.into_iter().chain(place).flatten().collect(),
            reasons: sorted(document.reasons()),
            content: document.content(),
        }
    }
}

/// The table in the documentation of the codec, a second time.
fn pull_is_right(
    account: &Account,
    requires_signature: bool,
    message: &Message<'_>,
    reference: &str,
    tree: Option<&Tree>,
) {
    let answer = lend(message, |answer| account.read_pull(reference, answer, NOW));
    let again = lend(message, |answer| account.read_pull(reference, answer, NOW));
    assert_eq!(answer, again, "G8: reading twice gives the same");
    discreet(answer.diagnosis.as_deref());
    let signature = lend(message, |answer| account.verifier().check(answer.headers, answer.body).outcome);
    let retry_after = lend(message, |answer| http::retry_after(answer.headers, NOW));
    let is_success = (200..300).contains(&status(message));

    let event = tree.and_then(|tree| tree.get("event")?.word());
    let names = tree.and_then(|tree| tree.get("reference")?.word());
    let expected = match (signature, tree, event) {
        (_, Some(_), Some("request.unauthorized")) => Some(Outcome::Refused),
        (_, None, _) => None,
        _ if !is_success => None,
        (Signature::Wrong, ..) => Some(failed(FaultKind::BadSignature, retry_after)),
        (Signature::Missing, ..) if requires_signature => Some(failed(FaultKind::BadSignature, retry_after)),
        (_, Some(_), Some("request.invalid")) if names.is_none() || names == Some(reference) => {
            Some(Outcome::NotReady(NotReady::Invalid))
        }
        (_, Some(_), Some(word)) if names == Some(reference) => {
            let content = Document::read(&Body::new(message.body)).content();
            Some(Outcome::Report(Report { verdict: verdict(word), content }))
        }
        (_, Some(_), _) => Some(failed(FaultKind::Malformed, retry_after)),
    };
    match expected {
        Some(expected) => assert_eq!(answer.outcome, expected),
        None => assert!(!matches!(answer.outcome, Outcome::Report(_)), "a verdict out of nothing"),
    }
    let is_believed = matches!(answer.outcome, Outcome::Report(_));
    assert!(
        !is_believed || answer.unsigned_answer == (signature == Signature::Missing),
        "R16: who vouches for it"
    );
}

fn failed(kind: FaultKind, retry_after: Option<idv_core::time::Span>) -> Outcome {
    Outcome::Failed(idv_core::evidence::Fault { kind, retry_after })
}

/// The provider's words for verdicts, from its list of events.
fn verdict(word: &str) -> Option<Verdict> {
    match word {
        "verification.accepted" => Some(Verdict::Accepted),
        "verification.declined" => Some(Verdict::Declined),
        "verification.cancelled" | "request.cancelled" => Some(Verdict::Cancelled),
        "request.timeout" => Some(Verdict::TimedOut),
        "review.pending" => Some(Verdict::ReviewPending),
        "request.deleted" => Some(Verdict::Deleted),
        _ => None,
    }
}

/// A token comes out of an answer that succeeded, may be believed and holds one that can be sent; and nothing shows it.
fn token_is_right(account: &Account, message: &Message<'_>, tree: Option<&Tree>) {
    let signature = lend(message, |answer| account.verifier().check(answer.headers, answer.body).outcome);
    let token = tree.and_then(|tree| tree.get("access_token")?.word());
    let is_refused = tree.and_then(|tree| tree.get("event")?.word()) == Some("request.unauthorized");
    let is_usable = (200..300).contains(&status(message))
        && signature != Signature::Wrong
        && !is_refused
        && token.is_some_and(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
    let answer = lend(message, |answer| account.read_token(answer, NOW));
    match &answer {
        TokenAnswer::Received { token: received, ttl } => {
            assert!(is_usable, "a token out of nothing");
            assert_eq!((Some(received.reveal()), *ttl), (token, None));
            let shown = format!("{answer:?}");
            assert!(received.reveal().len() < 20 || !shown.contains(received.reveal()), "G10: {shown}");
        }
        TokenAnswer::Refused { diagnosis } | TokenAnswer::Failed { diagnosis, .. } => {
            assert!(!is_usable, "a good token is not taken: {diagnosis:?}");
            discreet(diagnosis.as_deref());
        }
    }
}
