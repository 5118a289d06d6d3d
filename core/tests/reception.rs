//! One callback through its reception: whatever arrives, in whatever pieces and order, and however the store behaves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use idv_core::engine::reception::{Action, Examine, Recording};
use idv_core::engine::{Arrived, CallbackEvent, CallbackOutcome, Endpoint, Reception};
use idv_core::evidence::{Callback, Verdict};
use idv_core::http::Headers;
use idv_core::machine::Next;
use idv_core::provider::{Authenticity, Provider};
use idv_core::receipt::{Answer, Policy};
use idv_core::secret::Secret;
use idv_core::session::EvidencePolicy;
use idv_core::shufti;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::store::{CommitReceipt, MemoryStore};
use idv_core::time::{Instant, Span};
use idv_core::{shareid, store::Record};
use proptest::prelude::*;
use std::sync::Arc;

const START: Instant = Instant::from_millis(1_000);
const CAP: u64 = 3_000_000;
const ACCEPTED: &[u8] = br#"{"reference":"kyc-1","event":"verification.accepted"}"#;
const JSON: (&str, &[u8]) = ("Content-Type", b"application/json");

/// One that reads what is signed as evidence.
fn endpoint(provider: impl Provider + 'static) -> Endpoint {
    Endpoint {
        provider: Arc::new(provider),
        policy: Policy::builder(CAP).build().unwrap(),
        evidence: EvidencePolicy::TrustSigned,
    }
}

fn shufti() -> Endpoint {
    endpoint(shufti::Account::builder("client", Secret::from("secret")).build().unwrap())
}

fn shareid() -> Endpoint {
    let flow = shareid::Flow::Authenticate;
    endpoint(shareid::Account::new("https://api.example", flow, "hash".into(), "key".into()).unwrap())
}

fn signature(body: &[u8]) -> String {
    sign(Rule::After, &Secret::from("secret"), body)
}

/// What came out of a reception, sorted.
#[derive(Default)]
struct Out {
    examine: Vec<Examine>,
    record: Vec<Recording>,
    answers: Vec<Answer>,
    arrived: Vec<Arrived>,
    told: Vec<CallbackEvent>,
}

impl Out {
    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Examine(task) => self.examine.push(task),
                Action::Record(task) => self.record.push(task),
                Action::Answer(answer) => self.answers.push(answer),
                Action::Arrived(arrived) => self.arrived.push(arrived),
                Action::Tell(event) => self.told.push(event),
            }
        }
    }

    fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(Answer::status).collect()
    }

    /// Position and meaning of what arrived.
    fn arrivals(&self) -> Vec<(Option<u64>, Callback)> {
        self.arrived.iter().map(|arrived| (arrived.position(), arrived.callback())).collect()
    }
}

/// A reception that the whole request has come to.
fn posted(endpoint: Endpoint, fields: &[(&str, &[u8])], body: &[u8]) -> (Reception, Out) {
    let (mut reception, mut out) = (Reception::begin(endpoint, 7, START), Out::default());
    out.take(reception.head(START, "POST", Headers(fields)));
    out.take(reception.chunk(START, body));
    out.take(reception.complete(START, 5));
    (reception, out)
}

/// The same, examined.
fn examined(endpoint: Endpoint, fields: &[(&str, &[u8])], body: &[u8]) -> (Reception, Out) {
    let (mut reception, mut out) = posted(endpoint, fields, body);
    let task = out.examine.pop().unwrap();
    out.take(reception.examined(START, task.perform()));
    (reception, out)
}

fn store() -> MemoryStore {
    MemoryStore::new(10, 10_000_000)
}

/// What is in a record, kept.
fn facts(record: &Record<'_>) -> ([u8; 32], Authenticity, Option<String>, Vec<u8>) {
    (record.digest, record.authenticity, record.id.map(str::to_owned), record.body.to_vec())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Signed,
    SignedUnreadable,
    WronglySigned,
    NotSigned,
    Unsigned,
    UnsignedUnreadable,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Signed,
        Self::SignedUnreadable,
        Self::WronglySigned,
        Self::NotSigned,
        Self::Unsigned,
        Self::UnsignedUnreadable,
    ];

    fn endpoint(self) -> Endpoint {
        match self {
            Self::Signed | Self::SignedUnreadable | Self::WronglySigned | Self::NotSigned => shufti(),
            Self::Unsigned | Self::UnsignedUnreadable => shareid(),
        }
    }

    /// A body of any length, with its signature.
    fn request(self, filling: usize) -> (Option<String>, Vec<u8>) {
        let filling = " ".repeat(filling);
        let body = match self {
            Self::Signed | Self::WronglySigned | Self::NotSigned => {
                format!(r#"{{"reference":"kyc-1",{filling}"event":"verification.accepted"}}"#)
            }
            Self::Unsigned => format!(r#"{{"flow_id":"kyc-1",{filling}"reasons":[]}}"#),
            Self::SignedUnreadable | Self::UnsignedUnreadable => format!("<{filling}>"),
        }
        .into_bytes();
        let signature = match self {
            Self::Signed | Self::SignedUnreadable => Some(signature(&body)),
            Self::WronglySigned => Some(signature(b"another body")),
            Self::NotSigned | Self::Unsigned | Self::UnsignedUnreadable => None,
        };
        (signature, body)
    }

    /// What is answered once it was examined, unless it is recorded.
    fn refused(self) -> Option<u16> {
        match self {
            Self::Signed | Self::SignedUnreadable | Self::Unsigned => None,
            Self::WronglySigned | Self::NotSigned => Some(401),
            Self::UnsignedUnreadable => Some(400),
        }
    }
}

proptest! {
    /// Any kind of callback, in any pieces; the examination, the commit or its failure, the peer's going and the time come in any order.
    #[test]
    fn g5_answered_once_in_time_and_200_only_after_the_commit_and_r10_a_commit_always_drives(
        kind in prop::sample::select(&Kind::ALL[..]),
        filling in prop_oneof![0..200_usize, Just(1_100_000)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        announces in any::<bool>(),
        evidence in prop::sample::select(vec![EvidencePolicy::ConfirmByPull, EvidencePolicy::TrustSigned]),
        script in prop::collection::vec((0..8_u8, prop_oneof![9 => 0..20_u32, 1 => 0..3_000_u32]), 4..40),
    ) {
        let endpoint = Endpoint { evidence, ..kind.endpoint() };
        let deadline = START.after(endpoint.policy.answer_within());
        let (signature, body) = kind.request(filling);
        let length = body.len().to_string();
        let mut fields = vec![JSON];
        fields.extend(announces.then_some(("content-length", length.as_bytes())));
        fields.extend(signature.as_ref().map(|signature| ("Signature", signature.as_bytes())));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect();
        pieces.reverse();

        let mut store = store();
        let (mut reception, mut out) = (Reception::begin(endpoint, 7, START), Out::default());
        let (mut now, mut headed, mut completed) = (START, false, false);
        let (mut gone, mut given_up, mut committed) = (false, false, false);
        let mut answered_at = None;
        // The script, then everything that is still owed, at the end of time.
        let script = script.into_iter().chain([(7, 3_000)]).chain([(0, 0); 12]).chain([(2, 0), (3, 0)]);
        for (what, wait) in script {
            let then = now.shifted(i64::from(wait));
            // As any driver does: when the moment comes that it asked for, before anything later.
            if let Next::At(at) = reception.next() && at <= then {
                now = now.max(at);
                out.take(reception.tick(now));
            }
            if !out.answers.is_empty() { answered_at = answered_at.or(Some(now)); }
            now = then;
            let before = out.answers.len();
            let mut commits = false;
            match what {
                0 | 1 if gone || completed => {}
                0 | 1 if !headed => {
                    headed = true;
                    out.take(reception.head(now, "POST", Headers(&fields)));
                }
                0 | 1 => match pieces.pop() {
                    Some(piece) => out.take(reception.chunk(now, piece)),
                    None => {
                        completed = true;
                        out.take(reception.complete(now, 5));
                    }
                },
                2 => if let Some(task) = out.examine.pop() {
                    out.take(reception.examined(now, task.perform()));
                },
                3 => if let Some(task) = out.record.pop() {
                    prop_assert_eq!(task.record().body, &body[..]);
                    let proof = task.perform(&mut store).unwrap();
                    commits = now < deadline && !gone;
                    committed = true;
                    out.take(reception.committed(now, proof));
                },
                4 => if out.record.pop().is_some() {
                    given_up = true;
                    out.take(reception.not_recorded(now));
                },
                5 => if headed && wait % 4 == 0 {
                    gone = true;
                    out.take(reception.disconnected(now));
                },
                _ => out.take(reception.tick(now)),
            }
            let new: Vec<u16> = out.answers[before..].iter().map(Answer::status).collect();
            if new.contains(&200) { prop_assert!(commits, "a 200 without a commit in time"); }
            if commits { prop_assert_eq!(new, [200]); }
            if !out.answers.is_empty() { answered_at = answered_at.or(Some(now)); }
        }

        prop_assert!(out.answers.len() <= 1);
        if !gone {
            prop_assert_eq!(out.answers.len(), 1, "not answered");
            prop_assert!(answered_at.unwrap() <= deadline);
        }
        prop_assert_eq!(reception.answer(), out.answers.first().copied());
        let refused: Vec<_> = out.told.iter().filter_map(|event| match event.outcome {
            CallbackOutcome::Refused { status, .. } => Some(status),
            CallbackOutcome::Recorded { .. } => None,
        }).collect();
        prop_assert_eq!(refused, out.statuses().into_iter().filter(|status| *status != 200).collect::<Vec<_>>());

        // R10: the commit drives, whenever it came and whatever had been answered; nothing else says that it is recorded.
        let recorded: Vec<_> = out.arrivals().into_iter().filter(|(position, _)| position.is_some()).collect();
        prop_assert_eq!(recorded.len(), usize::from(committed));
        prop_assert_eq!(store.len(), usize::from(committed));
        if let [(position, callback)] = recorded[..] {
            prop_assert_eq!(position, Some(1));
            match kind {
                Kind::Signed => {
                    prop_assert_eq!(callback.hint(), Callback::SignedHint);
                    prop_assert_eq!(callback == Callback::SignedHint, evidence == EvidencePolicy::ConfirmByPull);
                }
                Kind::SignedUnreadable => prop_assert_eq!(callback, Callback::SignedSignal),
                Kind::Unsigned => prop_assert_eq!(callback, Callback::Unsigned),
                Kind::WronglySigned | Kind::NotSigned | Kind::UnsignedUnreadable => panic!("{kind:?} was recorded"),
            }
            let one_piece = examined(kind.endpoint(), &fields, &body).1;
            prop_assert_eq!(
                facts(&store.record(1).unwrap().as_record()),
                facts(&one_piece.record[0].record()),
                "the pieces leave no trace"
            );
        }
        // A hint is never evidence, and comes at most once.
        let hints: Vec<_> = out.arrivals().into_iter().filter(|(position, _)| position.is_none()).collect();
        prop_assert!(hints.len() <= 1);
        for (_, callback) in &hints {
            prop_assert_eq!(
                *callback,
                if kind.refused() == Some(401) { Callback::WrongSignature } else { Callback::Unsigned }
            );
        }
        if given_up && !committed { prop_assert_eq!(hints.len(), 1, "R10: what could not be stored still hints"); }
        if let Some(status) = out.statuses().first().filter(|status| ![503, 200].contains(*status)) {
            prop_assert_eq!(Some(*status), kind.refused());
        }
    }
}

#[test]
fn r10_a_commit_after_the_503_still_drives() {
    let (mut reception, mut out) =
        examined(shufti(), &[("Signature", signature(ACCEPTED).as_bytes())], ACCEPTED);
    let Next::At(deadline) = reception.next() else { panic!("a deadline") };
    assert_eq!(deadline, START.after(Span::millis(2_500)));
    out.take(reception.tick(deadline));
    assert_eq!((out.statuses(), out.arrivals()), (vec![503], vec![(None, Callback::Unsigned)]));

    let proof = out.record.pop().unwrap().perform(&mut store()).unwrap();
    out.take(reception.committed(deadline.after(Span::secs(60)), proof));
    assert_eq!(out.statuses(), [503]);
    let arrived = out.arrived.pop().unwrap();
    assert_eq!((arrived.position(), arrived.claims()), (Some(1), Some(Verdict::Accepted)));
    assert!(matches!(arrived.callback(), Callback::Signed(_)));
    assert_eq!((arrived.provider(), arrived.id(), &arrived.body()[..]), ("shufti", Some("kyc-1"), ACCEPTED));
    assert_eq!(out.told.pop().unwrap().outcome, CallbackOutcome::Recorded { position: 1, duplicate: false });
    assert_eq!(reception.next(), Next::Over);
}

#[test]
fn r10_what_is_examined_after_the_503_still_hints() {
    let (good, wrong) = (signature(ACCEPTED), signature(b"another body"));
    for (signature, callback, ticked) in [
        (&good, Callback::Unsigned, true),
        (&good, Callback::Unsigned, false),
        (&wrong, Callback::WrongSignature, true),
    ] {
        let (mut reception, mut out) = posted(shufti(), &[("Signature", signature.as_bytes())], ACCEPTED);
        let Next::At(deadline) = reception.next() else { panic!("a deadline") };
        if ticked {
            out.take(reception.tick(deadline));
        }
        let task = out.examine.pop().unwrap();
        out.take(reception.examined(deadline, task.perform()));
        assert_eq!((out.statuses(), out.arrivals()), (vec![503], vec![(None, callback)]));
        assert!(out.record.is_empty());
    }
}

#[test]
fn r16_a_wrong_or_missing_signature_is_answered_401_never_recorded_and_hints_in_the_lowest_class() {
    let other = signature(b"another body");
    for (fields, authenticity) in
        [(&[("Signature", other.as_bytes())][..], Authenticity::Wrong), (&[], Authenticity::Missing)]
    {
        let (_, out) = examined(shufti(), fields, ACCEPTED);
        assert_eq!(out.statuses(), [401]);
        assert_eq!(out.arrivals(), [(None, Callback::WrongSignature)]);
        assert!(out.record.is_empty());
        assert_eq!(out.told[0].authenticity, Some(authenticity));
    }
}

#[test]
fn r19_what_two_differing_signature_headers_came_to_is_recorded() {
    let (good, other) = (signature(ACCEPTED), signature(b"another body"));
    let fields = [("Signature", other.as_bytes()), ("sp_signature", good.as_bytes())];
    let (_, out) = examined(shufti(), &fields, ACCEPTED);
    let record = out.record[0].record();
    assert_eq!(record.authenticity, Authenticity::Signed);
    assert!(record.remark.unwrap().contains("signature headers differ"), "{record:?}");
    let mut store = store();
    out.record[0].perform(&mut store).unwrap();
    assert_eq!(store.record(1).unwrap().remark.as_deref(), record.remark);
}

#[test]
fn g5_without_room_for_the_body_it_is_answered_503_at_once_and_the_body_is_let_go() {
    let (mut reception, mut out) = (Reception::begin(shufti(), 7, START), Out::default());
    out.take(reception.head(START, "POST", Headers(&[])));
    out.take(reception.chunk(START, b"{"));
    out.take(reception.not_recorded(START));
    out.take(reception.chunk(START, b"}"));
    out.take(reception.complete(START, 5));
    assert_eq!(out.statuses(), [503]);
    assert!(out.examine.is_empty() && out.arrived.is_empty());
    assert_eq!(reception.next(), Next::Over);
}

#[test]
fn r10_a_peer_that_goes_during_the_examination_leaves_the_hint_and_the_record() {
    let fields = [("Signature", signature(ACCEPTED))];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let (mut reception, mut out) = posted(shufti(), &fields, ACCEPTED);
    out.take(reception.disconnected(START));
    assert!(out.arrived.is_empty());
    let task = out.examine.pop().unwrap();
    out.take(reception.examined(START, task.perform()));
    assert_eq!(out.arrivals(), [(None, Callback::Unsigned)]);
    let proof = out.record.pop().unwrap().perform(&mut store()).unwrap();
    out.take(reception.committed(START, proof));
    assert_eq!(out.arrivals().len(), 2);
    assert!(out.answers.is_empty(), "nobody is left to answer");
}

#[test]
fn what_comes_after_the_end_is_not_heard_and_an_end_that_comes_too_late_is_not_examined() {
    let (mut reception, out) = posted(shufti(), &[], ACCEPTED);
    assert!(reception.chunk(START, &vec![b' '; CAP as usize]).is_empty());
    assert_eq!(out.examine.len(), 1);

    let (mut reception, mut out) = (Reception::begin(shufti(), 7, START), Out::default());
    out.take(reception.head(START, "POST", Headers(&[])));
    out.take(reception.chunk(START, ACCEPTED));
    let Next::At(deadline) = reception.next() else { panic!("a deadline") };
    out.take(reception.complete(deadline, 5));
    assert_eq!(out.statuses(), [503]);
    assert!(out.examine.is_empty());
}

#[test]
fn g5_what_belongs_to_another_callback_is_not_taken() {
    let fields = [("Signature", signature(ACCEPTED))];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let other = |op| {
        let mut reception = Reception::begin(shufti(), op, START);
        let _ = reception.head(START, "POST", Headers(&fields));
        let _ = reception.chunk(START, ACCEPTED);
        let mut out = Out::default();
        out.take(reception.complete(START, 5));
        (reception, out)
    };
    let (mut reception, mut out) = other(7);
    let (mut stranger, mut strange) = other(8);
    assert!(reception.examined(START, strange.examine.pop().unwrap().perform()).is_empty());
    let task = out.examine.pop().unwrap();
    out.take(reception.examined(START, task.perform()));
    let (_, mut again) = other(8);
    let task = again.examine.pop().unwrap();
    strange.take(stranger.examined(START, task.perform()));
    let proof: CommitReceipt = strange.record[0].perform(&mut store()).unwrap();
    assert!(reception.committed(START, proof).is_empty());
    assert!(reception.answer().is_none());
    let proof = out.record[0].perform(&mut store()).unwrap();
    out.take(reception.committed(START, proof));
    assert_eq!(out.statuses(), [200]);
}

#[test]
fn a_driver_is_told_how_much_there_is_to_examine_and_which_proof_is_expected_and_an_engine_both_ids() {
    let body = br#"{"flow_id":"flow-1","applicant_id":"person-7","reasons":[]}"#;
    let (mut reception, mut out) = posted(shareid(), &[JSON], body);
    let task = out.examine.pop().unwrap();
    assert_eq!(task.bytes(), body.len());
    out.take(reception.examined(START, task.perform()));
    assert_eq!(out.record[0].op(), 7);
    let proof = CommitReceipt::obtain(&mut store(), out.record[0].op(), &out.record[0].record()).unwrap();
    out.take(reception.committed(START, proof));
    assert_eq!(out.statuses(), [200]);
    assert_eq!((out.arrived[0].id(), out.arrived[0].alias()), (Some("flow-1"), Some("person-7")));
}

#[test]
fn bodies_over_the_cap_and_other_methods_are_refused_before_anything_is_kept() {
    let mut reception = Reception::begin(shufti(), 7, START);
    let mut out = Out::default();
    let length = (CAP + 1).to_string();
    out.take(reception.head(START, "POST", Headers(&[("content-length", length.as_bytes())])));
    assert_eq!(out.statuses(), [413]);
    let mut reception = Reception::begin(shufti(), 7, START);
    out.take(reception.head(START, "POST", Headers(&[])));
    out.take(reception.chunk(START, &vec![b' '; CAP as usize + 1]));
    assert_eq!(out.statuses(), [413, 413]);
    // A body of exactly the cap is taken, announced or not.
    let length = CAP.to_string();
    for fields in [&[][..], &[("content-length", length.as_bytes())]] {
        let (reception, fits) = posted(shufti(), fields, &vec![b' '; CAP as usize]);
        assert_eq!((reception.answer(), fits.examine.len()), (None, 1));
    }
    let mut reception = Reception::begin(shufti(), 7, START);
    out.take(reception.head(START, "GET", Headers(&[])));
    assert_eq!(out.statuses(), [413, 413, 405]);
}

#[test]
fn g10_debug_shows_no_body() {
    let body = br#"{"reference":"kyc-1","event":"verification.accepted","info":"Jane"}"#;
    let fields = [("Signature", signature(body))];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let (mut reception, mut out) = posted(shufti(), &fields, body);
    let mut shown = format!("{reception:?} {:?}", out.examine);
    let examined = out.examine.pop().unwrap().perform();
    shown += &format!("{examined:?}");
    out.take(reception.examined(START, examined));
    let proof = out.record[0].perform(&mut store()).unwrap();
    out.take(reception.committed(START, proof));
    shown += &format!("{reception:?} {:?} {:?} {:?}", out.record, out.arrived, out.told);
    let bytes = format!("{:?}", b"Jane").replace(['[', ']'], "");
    assert!(!shown.contains("Jane") && !shown.contains(&bytes), "{shown}");
}
