//! What both providers' codecs are held to: the core's reader against another one, and places and texts fit to be shown.

use crate::message::{BEARER, Message, OLD_SECRET, SECRET};
use crate::tree::{Style, Tree};
use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::provider::{PullAnswer, Reason, Unreadable};

/// The time of day for `Retry-After`, in seconds since 1970.
pub(crate) const NOW: Option<u64> = Some(784_111_777);

/// What the body says, where it can be read. Both readers must find the same there, and take and refuse the same bodies.
pub(crate) fn reads_alike(body: &Body<'_>, unrepeatable: &[&str]) -> Option<Tree> {
    let reading = body.object(unrepeatable);
    let repeats = |tree: &Tree| unrepeatable.iter().any(|name| tree.all(name).count() > 1);
    let tree = Tree::read(body.text()).filter(|tree| matches!(tree, Tree::Object(_)) && !repeats(tree));
    match (&tree, &reading.unreadable) {
        (Some(Tree::Object(members)), None) => {
            assert_eq!(reading.object.iter().count(), members.len());
            for ((name, value), (known, tree)) in reading.object.iter().zip(members) {
                assert_eq!(name, *known, "the name of a member");
                tree.agrees(value);
                let all: Vec<_> = members.iter().filter(|(other, _)| other == known).collect();
                let is_alone = all.len() == 1;
                assert_eq!(reading.object.get_unrepeated(known).is_some(), is_alone, "once or more often");
                let (_, last) = all.last().expect("it is one of them");
                last.agrees(reading.object.get(known).expect("a member is found by its name"));
            }
        }
        (None, Some(unreadable)) => place_is_inside(body, unreadable),
        (_, unreadable) => panic!("one reader takes it and the other does not: {unreadable:?}"),
    }
    tree
}

/// The same body in other styles, one of them behind a byte order mark: what it means must not change.
pub(crate) fn rewritten(tree: &Tree) -> impl Iterator<Item = Vec<u8>> + '_ {
    let written = Style::ALL.into_iter().map(|style| tree.written(style).into_bytes());
    let marked = [b"\xEF\xBB\xBF", tree.written(Style::ALL[0]).as_bytes()].concat();
    written.chain([marked])
}

/// The message as an answer: its method is the status.
pub(crate) fn status(message: &Message<'_>) -> u16 {
    message.method.parse().unwrap_or(200)
}

/// Hands the message to `read` as an answer.
pub(crate) fn lend<T>(message: &Message<'_>, read: impl FnOnce(&Answer<'_>) -> T) -> T {
    let fields: Vec<(&str, &[u8])> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    read(&Answer { status: status(message), headers: Headers(&fields), body: message.body })
}

/// An answer of 200 without header fields.
pub(crate) const fn bare(body: &[u8]) -> Answer<'_> {
    Answer { status: 200, headers: Headers(&[]), body }
}

/// What is left of two answers that differ only in how the same is written.
pub(crate) fn meaning_of(answer: PullAnswer) -> impl PartialEq + std::fmt::Debug {
    (answer.outcome, answer.alias, answer.event, answer.unsigned_answer)
}

/// Reasons in an order of their own: members of objects come in any.
pub(crate) fn sorted(reasons: Vec<Reason>) -> Vec<(String, Option<String>, Option<String>, bool)> {
    let mut reasons: Vec<_> = reasons
        .into_iter()
        .map(|reason| (in_one_style(reason.code), reason.text, reason.service, reason.technical))
        .collect();
    reasons.sort();
    reasons
}

/// A code that is no text is handed over as it came.
fn in_one_style(code: String) -> String {
    match Tree::read(&code) {
        Some(tree @ (Tree::List(_) | Tree::Object(_))) => {
            tree.written(Style { reordered: true, ..Style::ALL[0] })
        }
        Some(_) | None => code,
    }
}

/// Places are counted in the text, in which every byte that is not UTF-8 has become three.
pub(crate) fn place_is_inside(body: &Body<'_>, unreadable: &Unreadable) {
    let line = body.text().split('\n').nth(unreadable.line.saturating_sub(1));
    let columns = line.expect("the line is there").len() + 1;
    assert!(unreadable.column <= columns, "column {} of {columns}", unreadable.column);
    assert!(!unreadable.problem.is_empty(), "says what was wrong");
    discreet(Some(&unreadable.problem));
}

/// G10: nothing that is logged shows a secret, or breaks the line.
pub(crate) fn discreet(text: Option<&str>) {
    let Some(text) = text else { return };
    let shows = |secret: &&str| text.contains(*secret);
    assert!(![SECRET, OLD_SECRET, BEARER].iter().any(shows), "G10: a secret in a text for the log");
    assert!(!text.chars().any(char::is_control), "a text for the log is one line: {text:?}");
}
