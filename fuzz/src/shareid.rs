//! ShareID's codec: an answer or callback of any bytes, read and written again.

use crate::codec::{NOW, bare, discreet, lend, meaning_of, reads_alike, rewritten, sorted, status};
use crate::message::{Message, OLD_SECRET, SECRET};
use crate::tree::Tree;
use idv_core::evidence::{ContentDigest, Outcome, Verdict};
use idv_core::json::Body;
use idv_core::provider::{Provider, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::shareid::{Account, Document, Flow, Image, OcrField, contract};
use idv_core::time::Span;

/// Reads the message as every kind of answer of both flows, and again in every style.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let message = Message::read(input);
    let body = Body::new(message.body);
    let tree = reads_alike(&body, &contract::UNREPEATABLE);
    let reading = body.object(&contract::UNREPEATABLE);
    let document = Document::new(reading.object);
    let said = Said::of(&document);

    for flow in [Flow::Onboarding, Flow::Authenticate] {
        let (hash, key) = (Secret::from(SECRET), Secret::from(OLD_SECRET));
        let account =
            Account::new("https://shareid.example", flow, hash, key).expect("the account is in order");
        pull_is_right(&account, &message, tree.as_ref());
        token_is_right(&account, &message, tree.as_ref());
        start_is_right(&account, &message, tree.as_ref());
        let Some(tree) = &tree else {
            assert!(account.statement(message.body).is_err(), "a body that cannot be read states nothing");
            continue;
        };
        let id = id_in(tree, flow);
        let pulled = meaning_of(account.read_pull(&id, &bare(message.body), NOW));
        let stated = account.statement(message.body).ok().map(|it| (it.verdict, sorted(it.reasons)));
        // What parses survives a round trip of meaning, R5 above all.
        for written in rewritten(tree) {
            let body = Body::new(&written);
            let document = Document::new(body.object(&[]).object);
            assert_eq!(Said::of(&document), said, "the same in another style means something else");
            assert_eq!(meaning_of(account.read_pull(&id, &bare(&written), NOW)), pulled);
            let again = account.statement(&written).ok().map(|it| (it.verdict, sorted(it.reasons)));
            assert_eq!(again, stated);
        }
    }
}

/// Everything that a document says, in an order of its own.
#[derive(PartialEq, Debug)]
struct Said {
    texts: [Option<String>; 5],
    verdict: Option<Verdict>,
    reasons: Vec<(String, Option<String>, Option<String>, bool)>,
    fields: Vec<String>,
    images: Vec<Option<String>>,
    content: ContentDigest,
}

impl Said {
    fn of(document: &Document<'_>) -> Self {
        let data = document.data();
        let mut fields: Vec<_> = data.ocr_fields().map(|(name, _)| name.into_owned()).collect();
        fields.sort();
        fields.extend(OcrField::ALL.map(|field| format!("{:?}", data.ocr(field))));
        Self {
            texts: [
                document.applicant_id(),
                document.flow_id(),
                data.doc_type(),
                data.doc_model(),
                data.country_code(),
            ]
            .map(|text| text.map(String::from)),
            verdict: document.reasons().verdict(),
            reasons: sorted(document.reasons().to_vec()),
            fields,
            images: Image::ALL.map(|image| data.image(image).map(String::from)).to_vec(),
            content: document.content(),
        }
    }
}

/// The verification that the answer is taken to be about.
fn id_in(tree: &Tree, flow: Flow) -> String {
    tree.get(flow.id_member()).and_then(Tree::word).unwrap_or("app-1").to_owned()
}

/// The verdict that `reasons` states: accepted is `null` or `[]` and nothing else.
fn verdict(tree: &Tree) -> Option<Verdict> {
    match tree.get("reasons")? {
        Tree::Null => Some(Verdict::Accepted),
        Tree::List(list) if list.is_empty() => Some(Verdict::Accepted),
        Tree::Bool(_) | Tree::Number(_) => None,
        given => given.elements().iter().any(|reason| !reason.is_empty()).then_some(Verdict::Declined),
    }
}

/// G4 on the other road: a verdict out of an answer is one that the body states, of this verification, and with success.
fn pull_is_right(account: &Account, message: &Message<'_>, tree: Option<&Tree>) {
    let flow = account.flow();
    for id in [tree.map_or_else(|| "app-1".to_owned(), |tree| id_in(tree, flow)), "another".to_owned()] {
        let answer = lend(message, |answer| account.read_pull(&id, answer, NOW));
        let again = lend(message, |answer| account.read_pull(&id, answer, NOW));
        assert_eq!(answer, again, "G8: reading twice gives the same");
        discreet(answer.diagnosis.as_deref());
        let named = tree.and_then(|tree| tree.get(flow.id_member())?.word());
        let has_detail = tree.is_some_and(|tree| tree.get("detail").is_some_and(|it| *it != Tree::Null));
        let is_about_it = named.is_none_or(|named| named == id);
        let is_success = (200..300).contains(&status(message));
        let stated = tree.and_then(verdict).filter(|_| is_success && !has_detail && is_about_it);
        let found = match answer.outcome {
            Outcome::Report(report) => report.verdict,
            Outcome::NotReady(_) | Outcome::Refused | Outcome::Failed(_) => None,
        };
        assert_eq!(found, stated, "the verdict is the one that is stated");
        let other = match flow {
            Flow::Onboarding => "flow_id",
            Flow::Authenticate => "applicant_id",
        };
        let alias = tree.and_then(|tree| tree.get(other)?.word()).filter(|_| stated.is_some());
        assert_eq!(answer.alias.as_deref(), alias, "R8: the other id of the same verification");
    }
}

/// A token in an answer: only a text that a header field can carry.
fn token_in(message: &Message<'_>, tree: Option<&Tree>) -> Option<String> {
    let Some(Tree::Text(token)) = tree.and_then(|tree| tree.get("token")) else { return None };
    let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    ((200..300).contains(&status(message)) && fits).then(|| token.clone())
}

fn token_is_right(account: &Account, message: &Message<'_>, tree: Option<&Tree>) {
    let token = token_in(message, tree);
    let answer = lend(message, |answer| account.read_token(answer, NOW));
    match &answer {
        TokenAnswer::Received { token: received, ttl } => {
            assert_eq!(Some(received.reveal()), token.as_deref(), "a token out of nothing");
            let known = [Span::mins(1), Span::hours(24)];
            assert!(ttl.is_none_or(|ttl| known[0] <= ttl && ttl <= known[1]), "a life that is not plausible");
            let shown = format!("{answer:?}");
            assert!(received.reveal().len() < 20 || !shown.contains(received.reveal()), "G10: {shown}");
        }
        TokenAnswer::Refused { diagnosis } | TokenAnswer::Failed { diagnosis, .. } => {
            assert_eq!(token, None, "a good token is not taken: {diagnosis:?}");
            discreet(diagnosis.as_deref());
        }
    }
}

fn start_is_right(account: &Account, message: &Message<'_>, tree: Option<&Tree>) {
    for flow in [Flow::Onboarding, Flow::Authenticate] {
        let id = tree.and_then(|tree| tree.get(flow.id_member())?.word());
        let expected = token_in(message, tree).zip(id.map(str::to_owned));
        match lend(message, |answer| account.read_start(flow, answer, NOW)) {
            Ok(started) => {
                assert_eq!(Some((started.token.reveal().to_owned(), started.id)), expected);
            }
            Err(problem) => {
                assert_eq!(expected, None, "a good start is not taken: {}", problem.diagnosis);
                discreet(Some(&problem.diagnosis));
            }
        }
    }
}
