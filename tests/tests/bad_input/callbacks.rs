//! Callbacks, over a socket to the listener, each about a verification of its own that is pulled only for a reason: so the verdict that
//! arrives shows that the callback, however bad, was one.

use crate::{MALFORMED, PERSONAL, accepted, discreet, document, nested, signature, signed};
use idv_core::evidence::Verdict;
use idv_core::provider::Authenticity;
use idv_core::receipt::Policy;
use idv_core::secret::Secret;
use idv_core::shareid::{self, Flow};
use idv_core::shufti;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::store::Journal;
use idv_core::time::Span;
use idv_tests::driving::{Application, SECRET, account, only_for_a_reason, shareid_at, shufti_at};
use idv_tests::wire::{self, Peer, Reply, Said, Script};
use idv_ureq::{Account, AccountRef, CallbackEvent, CallbackOutcome, Event, SharedMemory};
use std::net::SocketAddr;

const JSON: (&str, &str) = ("content-type", "application/json");
const PATH: &str = "/callbacks?transaction_id=7";

/// A driver with a listener, its store, and the provider behind it.
struct Receiver {
    application: Application,
    account: AccountRef,
    store: SharedMemory,
    script: Script,
    address: SocketAddr,
    _peer: Peer,
}

impl Receiver {
    fn new(of: impl FnOnce(&str) -> Account) -> Self {
        let script = Script::default();
        script.set("token", [Said::json(200, r#"{"token":"tok-secret"}"#)]);
        let peer = script.serve();
        let store = SharedMemory::default();
        let (application, account) = Application::start(|builder| {
            builder.store(store.clone());
            builder.account(of(&peer.url()))
        });
        let listening = application.driver.listen("127.0.0.1:0".parse().unwrap(), &[("/callbacks", account)]);
        Self { application, account, store, script, address: listening.unwrap(), _peer: peer }
    }

    fn shufti() -> Self {
        Self::new(|url| {
            let provider = shufti_at(url);
            let rules = only_for_a_reason(&provider);
            account(provider, &rules)
        })
    }

    fn shareid() -> Self {
        Self::new(|url| {
            let provider = shareid_at(url, Flow::Authenticate);
            let rules = only_for_a_reason(&provider);
            account(provider, &rules)
        })
    }

    /// Opens a verification that is not decided at the first pull, and is at the second.
    fn open(&self, id: &str, pending: Said, decided: Said) {
        self.script.set(id, [pending, decided]);
        self.application.driver.open(self.account, id).unwrap();
        self.application.event(|event| match event {
            Event::Pulled { id: pulled, .. } if &*pulled == id => Some(()),
            _ => None,
        });
    }

    fn open_shufti(&self, id: &str) {
        self.open(id, signed(200, document(id, "request.pending")), accepted(id));
    }

    fn open_shareid(&self, id: &str) {
        let not_ready = Said::json(200, r#"{"detail":"applicant not found"}"#);
        self.open(id, not_ready, Said::json(200, format!(r#"{{"flow_id":"{id}","reasons":[]}}"#)));
    }

    fn send(&self, request: &[u8]) -> (Reply, CallbackEvent) {
        let reply = wire::send(self.address, request);
        discreet(&reply.body);
        let event = self.application.callback();
        discreet(&format!("{:?} {:?} {:?}", event.remark, event.unreadable, event.outcome));
        (reply, event)
    }

    fn post(&self, fields: &[(&str, &str)], body: &[u8]) -> (Reply, CallbackEvent) {
        self.send(&wire::request("POST", PATH, fields, body))
    }

    /// Posts what must be recorded, and looks whether it was, byte for byte, before it was answered.
    fn post_recorded(&self, fields: &[(&str, &str)], body: &[u8]) -> CallbackEvent {
        let (reply, event) = self.post(fields, body);
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{event:?}");
        let CallbackOutcome::Recorded { position, duplicate: false } = event.outcome else {
            panic!("{event:?}");
        };
        let kept = self.store.with(|store| store.record(position).map(|record| record.body.clone()));
        assert_eq!(kept.as_deref(), Some(body));
        event
    }

    /// Posts what must be refused, and looks whether nothing was kept.
    fn refused(&self, request: &[u8], status: u16, explanation: &str) -> (Reply, CallbackEvent) {
        let before = self.recorded();
        let (reply, event) = self.send(request);
        assert_eq!(reply.status, status, "{}", reply.head);
        assert_eq!(reply.body, format!("{explanation}\n"));
        let CallbackOutcome::Refused { status: told, explanation: why } = event.outcome else {
            panic!("{event:?}");
        };
        assert_eq!((told, why), (status, explanation));
        assert_eq!(self.recorded(), before);
        (reply, event)
    }

    fn recorded(&self) -> usize {
        self.store.with(idv_core::store::MemoryStore::len)
    }

    fn verdict_of(&self, id: &str) {
        let revision = self.application.revision();
        assert_eq!((&*revision.id, revision.number, revision.verdict), (id, 1, Verdict::Accepted));
    }
}

#[test]
fn r19_a_signed_body_that_cannot_be_read_is_recorded_reported_and_answered_200() {
    let receiver = Receiver::shufti();
    let twice = r#"{"reference":"twice","event":"verification.accepted","event":"verification.declined"}"#;
    let deep = nested(r#""reference":"deep","event":"verification.accepted""#);
    let bodies = [
        (MALFORMED[0].0, MALFORMED[0].1, (85, 1), MALFORMED[0].4),
        (MALFORMED[1].0, MALFORMED[1].1, (31, 1), MALFORMED[1].4),
        ("twice", twice, (1, 54), "`event` appears twice, expected it once"),
        ("deep", &deep, (1, 186), "nested deeper than the 127 levels that are read"),
        ("cut-off", r#"{"reference":"cut-off","event":"verifi"#, (1, 38), "EOF while parsing a string"),
    ];
    for (id, body, place, problem) in bodies {
        receiver.open_shufti(id);
        let event =
            receiver.post_recorded(&[JSON, ("signature", &signature(body.as_bytes()))], body.as_bytes());
        let unreadable = event.unreadable.as_ref().unwrap();
        assert_eq!((unreadable.line, unreadable.column), place, "{unreadable}");
        assert!(unreadable.problem.contains(problem), "{unreadable}");
        assert_eq!((event.id.as_deref(), event.authenticity), (Some(id), Some(Authenticity::Signed)));
        receiver.verdict_of(id);
    }
}

#[test]
fn r19_a_signed_body_that_names_nobody_is_recorded_and_reported() {
    let receiver = Receiver::shufti();
    let bodies: [(&[u8], &str); 9] = [
        (MALFORMED[2].1.as_bytes(), MALFORMED[2].4),
        (
            br#"{"event":"verification.accepted"}"#,
            "`reference` is missing or empty, expected the verification's id",
        ),
        (br#"{"reference":"","event":"verification.accepted"}"#, "`reference` is missing or empty"),
        (
            br#"{"reference":{"Zaphod-7":1},"event":"verification.accepted"}"#,
            "`reference` is missing or empty",
        ),
        (br#"{"reference":"Zaphod-7","reference":"x"}"#, "`reference` appears twice, expected it once"),
        (b"[]", "expected a JSON object, found an array"),
        (b"7", "expected a JSON object, found a number"),
        (b"reference=Zaphod-7&event=verification.accepted", "expected a JSON value"),
        (b"\xff\xfe{\x00}\x00", "expected a JSON value"),
    ];
    for (body, problem) in bodies {
        let event = receiver.post_recorded(&[JSON, ("signature", &signature(body))], body);
        assert_eq!(event.id, None);
        assert!(event.unreadable.as_ref().is_some_and(|why| why.problem.contains(problem)), "{event:?}");
    }
    receiver.application.driver.stop();
    // Nobody will ever be named by them: they are not read again at the next start.
    assert_eq!(receiver.store.clone().unapplied(0, 100).unwrap(), []);
}

#[test]
fn r19_oddities_are_kept_and_not_refused() {
    let receiver = Receiver::shufti();
    let mark = format!("\u{feff}{}", document("mark", "verification.accepted"));
    let latin = [
        &br#"{"reference":"latin","event":"verification.accepted","email":"Zo"#[..],
        b"\xe9 \xf0\x9f",
        b"\"}",
    ]
    .concat();
    let bodies: [(&str, &[u8], &str); 6] = [
        ("mark", mark.as_bytes(), "verification.accepted"),
        ("latin", &latin, "verification.accepted"),
        ("unknown", br#"{"reference":"unknown","event":"verification.pondered","new":{"member":[1]}}"#, "verification.pondered"),
        // Documented as an answer to a call only.
        ("channel", br#"{"reference":"channel","event":"request.invalid"}"#, "request.invalid"),
        ("email", br#"{"reference":"email","event":"verification.accepted","email":1,"email":2}"#, "verification.accepted"),
        ("php", br#"{"reference":"php","event":"verification.accepted","verification_data":[],"info":"","error":""}"#, "verification.accepted"),
    ];
    for (id, body, word) in bodies {
        receiver.open_shufti(id);
        let event = receiver.post_recorded(&[JSON, ("signature", &signature(body))], body);
        assert_eq!((event.id.as_deref(), event.event.as_deref()), (Some(id), Some(word)));
        assert_eq!(event.unreadable, None);
        receiver.verdict_of(id);
    }
}

#[test]
fn r16_a_wrong_or_missing_signature_is_answered_401_kept_nowhere_and_still_a_hint() {
    let receiver = Receiver::shufti();
    let body = |id: &str| document(id, "verification.declined").into_bytes();
    let good = signature(b"another body");
    let other = sign(Rule::After, &Secret::from("not-the-secret"), &body("other-secret"));
    let cases: [(&str, &[(&str, &str)], Authenticity, &str); 6] = [
        ("missing", &[], Authenticity::Missing, "no signature header"),
        ("other-body", &[("signature", &good)], Authenticity::Wrong, "signature matches no secret"),
        ("other-secret", &[("sp_signature", &other)], Authenticity::Wrong, "signature matches no secret"),
        (
            "no-digits",
            &[("signature", "yes")],
            Authenticity::Wrong,
            "a signature header is not 64 hexadecimal digits",
        ),
        (
            "empty-field",
            &[("signature", "")],
            Authenticity::Wrong,
            "a signature header is not 64 hexadecimal digits",
        ),
        (
            "two-bad",
            &[("signature", &good), ("sp_signature", &other)],
            Authenticity::Wrong,
            "signature headers differ",
        ),
    ];
    for (id, fields, authenticity, remark) in cases {
        receiver.open_shufti(id);
        // The media type plays no part beside a signature, a right or a wrong one.
        for media_type in ["application/json", "text/plain"] {
            let fields = [&[("content-type", media_type)], fields].concat();
            let (reply, event) = receiver.refused(
                &wire::request("POST", PATH, &fields, &body(id)),
                401,
                "the signature or bearer is wrong or missing",
            );
            assert!(reply.head.to_lowercase().contains("www-authenticate:"), "{}", reply.head);
            assert_eq!(event.authenticity, Some(authenticity), "{id}");
            assert!(event.remark.as_ref().is_some_and(|words| words.contains(remark)), "{event:?}");
        }
        receiver.verdict_of(id);
    }
    // A body that is no JSON either is not said to be one: whoever cannot sign learns nothing about it.
    receiver.refused(
        &wire::request("POST", PATH, &[JSON], b"{\"reference\":"),
        401,
        "the signature or bearer is wrong or missing",
    );
    assert_eq!(receiver.recorded(), 0);
}

#[test]
fn r16_one_good_signature_of_several_is_enough_and_a_difference_is_recorded() {
    let receiver = Receiver::shufti();
    for (number, (good_first, rule)) in
        [(true, Rule::After), (false, Rule::After), (true, Rule::Before), (false, Rule::Before)]
            .into_iter()
            .enumerate()
    {
        let id = format!("order-{number}");
        receiver.open_shufti(&id);
        let body = document(&id, "verification.accepted").into_bytes();
        let (good, bad) = (sign(rule, &Secret::from(SECRET), &body), signature(b"another body"));
        let (new, old) = if good_first { (&good, &bad) } else { (&bad, &good) };
        let event = receiver.post_recorded(&[JSON, ("Signature", new), ("SP_Signature", old)], &body);
        let remark = event.remark.unwrap();
        assert!(
            remark.contains("signature verified by rule") && remark.contains("with secret 1"),
            "{remark}"
        );
        assert!(remark.contains("signature headers differ"), "{remark}");
        receiver.verdict_of(&id);
    }
    receiver.open_shufti("same");
    let body = document("same", "verification.accepted").into_bytes();
    let good = signature(&body);
    let event = receiver.post_recorded(&[JSON, ("signature", &good), ("sp_signature", &good)], &body);
    assert!(!event.remark.unwrap().contains("differ"));
    receiver.verdict_of("same");
}

#[test]
fn r16_a_signed_body_is_never_refused_for_its_media_type_and_an_unsigned_one_only_for_a_wrong_one() {
    let receiver = Receiver::shufti();
    let media_types: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "")],
        &[("content-type", "multipart/form-data; boundary=x")],
    ];
    for (number, media_type) in media_types.into_iter().enumerate() {
        let id = format!("order-{number}");
        receiver.open_shufti(&id);
        let body = document(&id, "verification.accepted").into_bytes();
        let signature = signature(&body);
        receiver.post_recorded(&[media_type, &[("signature", &signature)]].concat(), &body);
        receiver.verdict_of(&id);
    }

    let receiver = Receiver::shareid();
    for (number, media_type) in
        ["application/json", "Application/JSON;charset=utf-8", "APPLICATION/JSON ; a=b; c=\"d;e\""]
            .into_iter()
            .enumerate()
    {
        let id = format!("flow-{number}");
        receiver.open_shareid(&id);
        let body = format!(r#"{{"flow_id":"{id}","reasons":["doc_spoof"]}}"#);
        let event = receiver.post_recorded(&[("content-type", media_type)], body.as_bytes());
        assert_eq!(event.authenticity, Some(Authenticity::Unsigned));
        receiver.verdict_of(&id);
    }
    for media_type in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""] {
        let request = wire::request("POST", PATH, &[("content-type", media_type)], br#"{"flow_id":"x"}"#);
        receiver.refused(&request, 415, "an unsigned callback must be application/json");
    }
}

#[test]
fn r19_an_unsigned_body_that_cannot_be_read_is_answered_400_and_the_reason_reported() {
    let receiver = Receiver::shareid();
    let bodies: [(&[u8], &str); 6] = [
        (br#"{"flow_id":"Zaphod-7","reasons":["#, "EOF while parsing"),
        (br#"{"flow_id":"a","flow_id":"b"}"#, "`flow_id` appears twice, expected it once"),
        (br#"{"applicant_id":"a","applicant_id":"a"}"#, "`applicant_id` appears twice"),
        (br#"{"flow_id":"a","reasons":[],"reasons":["x"]}"#, "`reasons` appears twice"),
        (b"[[]]", "expected a JSON object, found an array"),
        (b"Zaphod-7", "expected a JSON value"),
    ];
    for (body, problem) in bodies {
        let (_, event) = receiver.refused(
            &wire::request("POST", PATH, &[JSON], body),
            400,
            "the body is not a readable callback",
        );
        let unreadable = event.unreadable.unwrap();
        assert!(unreadable.problem.contains(problem) && unreadable.line == 1, "{unreadable}");
    }
    let deep = nested(r#""flow_id":"a""#);
    let request = wire::request("POST", PATH, &[JSON], deep.as_bytes());
    let (_, event) = receiver.refused(&request, 400, "the body is not a readable callback");
    assert!(event.unreadable.unwrap().problem.contains("nested deeper than the 127 levels"));
}

#[test]
fn r16_the_agreed_bearer_is_demanded_and_compared() {
    let receiver = Receiver::new(|url| {
        let provider = shareid_at(url, Flow::Authenticate).with_callback_bearer("tok-secret".into()).unwrap();
        let rules = only_for_a_reason(&provider);
        account(provider, &rules)
    });
    for (id, authorization, authenticity) in [
        ("none", None, Authenticity::Missing),
        ("basic", Some("Basic tok-secret"), Authenticity::Missing),
        ("other", Some("Bearer tok-secret-not"), Authenticity::Wrong),
    ] {
        receiver.open_shareid(id);
        let fields: Vec<_> =
            [JSON].into_iter().chain(authorization.map(|value| ("authorization", value))).collect();
        let body = format!(r#"{{"flow_id":"{id}","reasons":[]}}"#);
        let request = wire::request("POST", PATH, &fields, body.as_bytes());
        let (_, event) = receiver.refused(&request, 401, "the signature or bearer is wrong or missing");
        assert_eq!(event.authenticity, Some(authenticity));
        receiver.verdict_of(id);
    }
    receiver.open_shareid("right");
    receiver.post_recorded(
        &[JSON, ("authorization", "bearer tok-secret")],
        br#"{"flow_id":"right","reasons":[]}"#,
    );
    receiver.verdict_of("right");
}

#[test]
fn an_empty_body_is_answered_400_signed_or_not() {
    let empty = signature(b"");
    for (receiver, fields) in [
        (Receiver::shufti(), vec![JSON, ("signature", empty.as_str())]),
        (Receiver::shufti(), vec![JSON]),
        (Receiver::shareid(), vec![JSON]),
    ] {
        let explanation = "the body is empty; a callback carries a JSON object";
        receiver.refused(&wire::request("POST", PATH, &fields, b""), 400, explanation);
        receiver.refused(&wire::chunked(PATH, &fields, b"", 1), 400, explanation);
    }
}

#[test]
fn other_methods_are_answered_405_with_the_one_that_is_right() {
    let receiver = Receiver::shufti();
    for method in ["GET", "PUT", "DELETE", "post"] {
        let (reply, _) =
            receiver.refused(&wire::request(method, PATH, &[], b""), 405, "callbacks are sent with POST");
        assert!(reply.head.to_lowercase().contains("allow: post\r\n"), "{}", reply.head);
    }
    let elsewhere = wire::send(receiver.address, &wire::request("POST", "/callback", &[JSON], b"{}"));
    assert_eq!(
        (elsewhere.status, elsewhere.body.trim_end()),
        (404, "no callbacks are received at this path")
    );
}

#[test]
fn bodies_over_the_cap_are_answered_413_announced_or_not_and_at_the_cap_taken() {
    assert_eq!(shufti::contract::CALLBACK_BODY_CAP, 4 << 20);
    assert_eq!(shareid::contract::CALLBACK_BODY_CAP, 16 << 20);
    let explanation = "the body is larger than this receiver takes";
    // As published: told by the head alone, before any of it is sent.
    for (receiver, cap) in [(Receiver::shufti(), 4 << 20), (Receiver::shareid(), 16 << 20)] {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            cap + 1
        );
        receiver.refused(head.as_bytes(), 413, explanation);
    }
    // As configured, to the byte.
    const CAP: usize = 100_000;
    let small = |of: fn(&str) -> Account| Receiver::new(of);
    let shufti_small = small(|url| {
        let provider =
            shufti::Account::builder("client", SECRET.into()).base_url(url).callback_body_cap(CAP as u64);
        let provider = provider.build().unwrap();
        let rules = only_for_a_reason(&provider);
        account(provider, &rules)
    });
    let shareid_small = small(|url| {
        let provider = shareid_at(url, Flow::Authenticate).with_callback_body_cap(CAP as u64);
        let rules = only_for_a_reason(&provider);
        account(provider, &rules)
    });
    shufti_small.open_shufti("full");
    shareid_small.open_shareid("full");
    for (receiver, member) in [(&shufti_small, "reference"), (&shareid_small, "flow_id")] {
        let mut body =
            format!(r#"{{"{member}":"full","event":"verification.accepted","x":"{PERSONAL}"#).into_bytes();
        body.resize(CAP - 2, b'x');
        body.extend_from_slice(b"\"}");
        let larger = [&body[..], b" "].concat();
        for request in [
            wire::request("POST", PATH, &[JSON, ("signature", &signature(&larger))], &larger),
            wire::chunked(PATH, &[JSON, ("signature", &signature(&larger))], &larger, 7_000),
        ] {
            let (_, event) = receiver.refused(&request, 413, explanation);
            assert_eq!((event.id, event.digest), (None, None));
        }
        receiver.post_recorded(&[JSON, ("signature", &signature(&body))], &body);
        receiver.verdict_of("full");
    }
}

#[test]
fn a_body_that_breaks_off_is_not_recorded_and_the_next_attempt_is() {
    let receiver = Receiver::shufti();
    receiver.open_shufti("order-1");
    let body = document("order-1", "verification.accepted").into_bytes();
    let fields = [JSON, ("signature", &signature(&body)[..])];
    let whole = wire::request("POST", PATH, &fields, &body);
    let broken_framing =
        b"POST /callbacks HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let smuggled =
        b"POST /callbacks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n{}{}";
    for request in [&broken_framing[..], &smuggled[..]] {
        assert_eq!(wire::send(receiver.address, request).status, 400);
    }
    for missing in [1, body.len()] {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(receiver.address).unwrap();
        stream.write_all(&whole[..whole.len() - missing]).unwrap();
        drop(stream);
    }
    let event = receiver.post_recorded(&fields, &body);
    assert_eq!(event.id.as_deref(), Some("order-1"));
    receiver.verdict_of("order-1");
    assert_eq!(receiver.recorded(), 1);
}

#[test]
fn g5_a_body_that_drips_is_answered_503_before_the_provider_gives_up() {
    let receiver = Receiver::new(|url| {
        let provider = shufti_at(url);
        let rules = only_for_a_reason(&provider);
        let policy = Policy::builder(1_000).answer_within(Span::millis(150)).build().unwrap();
        account(provider, &rules).with_receipt(policy)
    });
    let body = document("order-1", "verification.accepted").into_bytes();
    let request = wire::request("POST", PATH, &[JSON, ("signature", &signature(&body))], &body);
    let (_, event) =
        receiver.refused(&request[..request.len() - 1], 503, "not recorded in time; send it again");
    assert_eq!(event.id, None);
    assert_eq!(receiver.post_recorded(&[JSON, ("signature", &signature(&body))], &body).unreadable, None);
}
