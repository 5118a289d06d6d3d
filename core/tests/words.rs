//! Small things that others rely on: why nothing is settled, what a secret is equal to, how rules are named.

use idv_core::evidence::{ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::provider::Provider;
use idv_core::secret::Secret;
use idv_core::shareid::{self, Flow};
use idv_core::shufti::signature::Rule;
use idv_core::store::MemoryStore;

#[test]
fn r7_only_what_settles_and_what_has_a_diagnosis_of_its_own_needs_no_reason() {
    let report = |verdict| Outcome::Report(Report { verdict, content: ContentDigest(1) });
    let fault = Fault { kind: FaultKind::ServerError, retry_after: None };
    let reasons = [
        (report(None), "still at work"),
        (report(Some(Verdict::ReviewPending)), "decide by hand"),
        (Outcome::NotReady(NotReady::Documented), "never issued this id"),
        (Outcome::NotReady(NotReady::NotFound), "does not know this id"),
        (Outcome::NotReady(NotReady::Invalid), "calls the question invalid"),
    ];
    for (outcome, reason) in reasons {
        assert!(outcome.why_not_settled().is_some_and(|said| said.contains(reason)), "{outcome:?}");
    }
    use Verdict::{Accepted, Cancelled, Declined, Deleted, TimedOut};
    let settled = [Accepted, Declined, Cancelled, TimedOut, Deleted].map(|verdict| report(Some(verdict)));
    for outcome in settled.into_iter().chain([Outcome::Refused, Outcome::Failed(fault)]) {
        assert_eq!(outcome.why_not_settled(), None, "{outcome:?}");
    }
}

#[test]
fn g10_secrets_are_equal_iff_their_texts_are() {
    let secret = |text: &str| Secret::from(text);
    assert_eq!(secret("one"), secret("one"));
    for other in ["", "on", "onf", "One", "one "] {
        assert_ne!(secret("one"), secret(other));
    }
}

#[test]
fn a_signatures_rule_is_read_as_it_is_written() {
    for rule in [Rule::Before, Rule::After, Rule::Either] {
        assert_eq!(rule.as_str().parse(), Ok(rule));
    }
    assert!("neither".parse::<Rule>().is_err());
}

#[test]
fn providers_and_empty_stores_say_what_they_are() -> Result<(), shareid::AccountError> {
    let account =
        shareid::Account::new("https://shareid.example", Flow::Onboarding, "hash".into(), "key".into())?;
    assert_eq!(account.name(), "shareid");
    assert!(MemoryStore::new(1, 1).is_empty());
    Ok(())
}
