//! The callbacks that the sandbox sends: what, when, how often, by whose key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail by a panic"
)]

mod common;

use common::*;
use idv_core::delivery::Cause;
use idv_core::shufti::signature::{Rule, Verifier};
use idv_sandbox::callback::{OneOff, UnusableVoucher, Voucher};
use idv_sandbox::{
    Callback, Config, Create, Delivery, Fate, Faults, Key, Product, Provider, Sandbox, Scenario,
    SignatureHeader, Step, What,
};
use idv_ureq::Client;
use std::collections::BTreeMap;
use std::time::Duration;

fn verifier() -> Verifier {
    Verifier::new(Rule::Either, vec!["sandbox-secret-key".into()]).unwrap()
}

fn shufti_for(sandbox: &Sandbox, scenario: &str, inbox: &Inbox) -> String {
    let create = Create::new(Product::Shufti).scenario(scenario).callback(inbox.url());
    sandbox.create(create).unwrap()
}

/// Waits for so many callbacks, all of them signed, and gives the events of this verification in the order in which they were sent: on
/// their way they may overtake each other.
fn events(sandbox: &Sandbox, id: &str, inbox: &Inbox, count: usize) -> Vec<String> {
    for _ in 0..count {
        assert!(inbox.next().is_signed(&verifier()));
    }
    sent(sandbox, id).into_iter().map(|delivery| delivery.event).collect()
}

fn sent(sandbox: &Sandbox, id: &str) -> Vec<Delivery> {
    sandbox.deliveries().into_iter().filter(|delivery| delivery.id == id).collect()
}

#[test]
fn a_flip_is_announced_by_a_signal_that_names_no_verdict() {
    let sandbox = sandbox(200);
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "flip", &inbox);
    assert_eq!(
        events(&sandbox, &id, &inbox, 3),
        ["request.pending", "verification.accepted", "verification.status.changed"]
    );
    assert_eq!(sandbox.truth(Provider::Shufti, &id).unwrap().as_deref(), Some("verification.declined"));
    let all = sandbox.deliveries();
    let signal = all.iter().find(|delivery| delivery.event == "verification.status.changed").unwrap();
    assert_eq!(
        *signal.body,
        *format!(r#"{{"reference":"{id}","event":"verification.status.changed"}}"#).as_bytes()
    );
}

#[test]
fn a_lost_callback_never_comes_and_the_truth_is_there_all_the_same() {
    let sandbox = sandbox(1_000);
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "lost-callback", &inbox);
    assert_eq!(events(&sandbox, &id, &inbox, 1), ["request.pending"]);
    until("the truth", || {
        (sandbox.truth(Provider::Shufti, &id).unwrap()? == "verification.accepted").then_some(())
    });
    inbox.nothing_for(Duration::from_millis(100));
}

#[test]
fn callbacks_come_twice_reordered_and_replayed_byte_for_byte() {
    let sandbox = sandbox(200);
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "twice", &inbox);
    assert_eq!(events(&sandbox, &id, &inbox, 4)[1..], ["verification.accepted"; 3]);
    let bodies: Vec<_> = sent(&sandbox, &id).into_iter().map(|delivery| delivery.body).collect();
    assert!(bodies[1] == bodies[2] && bodies[2] == bodies[3] && bodies[0] != bodies[1]);
    let id = shufti_for(&sandbox, "reordered", &inbox);
    let reordered = ["request.pending", "verification.status.changed", "verification.accepted"];
    assert_eq!(events(&sandbox, &id, &inbox, 3), reordered);
    let id = shufti_for(&sandbox, "replayed", &inbox);
    assert_eq!(events(&sandbox, &id, &inbox, 4)[3], "verification.accepted", "a replay is genuine");
    let replayed = sent(&sandbox, &id);
    assert_eq!(replayed[1].body, replayed[3].body);
}

#[test]
fn g4_a_forged_callback_claims_what_is_not_the_case_and_does_not_verify() {
    let sandbox = sandbox(200);
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "forged", &inbox);
    let came: Vec<_> = (0..4).map(|_| inbox.next()).collect();
    let mut forged: Vec<_> = came.iter().filter(|came| came.event() == "verification.accepted").collect();
    forged.sort_by_key(|came| came.field("signature").is_some());
    assert_eq!(forged.len(), 2);
    assert_eq!(forged[0].field("signature"), None);
    assert_eq!(forged[1].field("signature").unwrap().len(), 64);
    assert!(forged.iter().all(|came| !came.is_signed(&verifier())));
    let genuine: Vec<_> = came.iter().filter(|came| came.is_signed(&verifier())).map(Came::event).collect();
    assert!(genuine.contains(&"verification.declined".to_owned()) && genuine.len() == 2, "{genuine:?}");
    assert_eq!(sandbox.truth(Provider::Shufti, &id).unwrap().as_deref(), Some("verification.declined"));
}

#[test]
fn anything_but_200_is_repeated_on_the_provider_s_schedule_until_it_is_given_up() {
    // 15 s take 15 ms; 5 min, 1 h and 24 h take 30 µs and up to 9 ms.
    for (product, factor, scenario, attempts, causes) in [
        (Product::Shufti, 1_000, "pending", 10, Cause::Status(204)),
        (Product::Onboarding, 10_000_000, "accepted", 4, Cause::Status(204)),
    ] {
        let sandbox = sandbox(factor);
        let inbox = Inbox::answering(&[204]);
        sandbox.create(Create::new(product).scenario(scenario).callback(inbox.url())).unwrap();
        let first = inbox.next();
        let mut last = first.clone();
        for _ in 1..attempts {
            last = inbox.next();
            assert_eq!(last.body, first.body);
            assert_eq!(last.field("signature"), first.field("signature"));
        }
        if product == Product::Shufti {
            assert!(last.at - first.at >= Duration::from_millis(9 * 15));
        }
        inbox.nothing_for(Duration::from_millis(60));
        let dead = until("the end of the delivery", || {
            sandbox.deliveries().into_iter().find(|delivery| delivery.fate == Fate::Dead)
        });
        assert_eq!(dead.attempts.len(), attempts);
        assert!(
            dead.attempts.iter().all(|attempt| attempt.failed == Some(causes) && attempt.status == Some(204))
        );
        assert_eq!(sandbox.statistics().of(product.provider()).dead, 1);
    }
}

#[test]
fn a_delivery_ends_with_the_first_200() {
    let sandbox = sandbox(1_000);
    let inbox = Inbox::answering(&[500, 503, 200]);
    shufti_for(&sandbox, "pending", &inbox);
    let done = until("a delivery", || {
        sandbox.deliveries().into_iter().find(|delivery| delivery.fate == Fate::Delivered)
    });
    let statuses: Vec<_> = done.attempts.iter().map(|attempt| (attempt.status, attempt.failed)).collect();
    assert_eq!(
        statuses,
        [(Some(500), Some(Cause::Status(500))), (Some(503), Some(Cause::Status(503))), (Some(200), None)]
    );
}

#[test]
fn a_lost_200_brings_the_callback_again() {
    let sandbox = sandbox(1_000);
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "answer-lost", &inbox);
    assert_eq!(events(&sandbox, &id, &inbox, 4), ["request.pending", "verification.accepted"]);
    let log = until("three attempts in the log", || {
        let attempts: Vec<_> = sandbox
            .log()
            .into_iter()
            .filter_map(|entry| match entry.what {
                What::Callback { event, status, failed, .. } if event == "verification.accepted" => {
                    Some((status, failed))
                }
                _ => None,
            })
            .collect();
        (attempts.len() == 3).then_some(attempts)
    });
    assert_eq!(
        log,
        [(Some(200), Some(Cause::TimedOut)), (Some(200), Some(Cause::TimedOut)), (Some(200), None)]
    );
}

#[test]
fn a_receiver_that_is_not_there_is_unreachable() {
    let sandbox = sandbox(1_000_000);
    let gone = Inbox::new().url();
    let id = sandbox.create(Create::new(Product::Shufti).scenario("pending").callback(gone)).unwrap();
    let dead = until("the end of the delivery", || {
        sandbox.deliveries().into_iter().find(|delivery| delivery.fate == Fate::Dead)
    });
    assert_eq!(dead.id, id);
    assert!(dead.attempts.iter().all(|attempt| attempt.failed == Some(Cause::Unreachable)));
}

#[test]
fn it_stops_at_once_although_a_receiver_hangs() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = sandbox(1);
    let url = format!("http://{}/", silent.local_addr().unwrap());
    sandbox.create(Create::new(Product::Shufti).scenario("pending").callback(url)).unwrap();
    let (_hanging, _) = silent.accept().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let begun = std::time::Instant::now();
    sandbox.shutdown();
    assert!(begun.elapsed() < Duration::from_millis(1_500), "stopped after {:?}", begun.elapsed());
}

#[test]
fn every_documented_event_comes_from_some_built_in_scenario_or_some_call() {
    let day = Duration::from_secs(24 * 3_600);
    let sandbox = Sandbox::start(Config { shareid_token_ttl: day, ..config(20_000) }).unwrap();
    let inbox = Inbox::new();
    let built_in = idv_sandbox::built_in();
    for scenario in &built_in {
        scenario.check().unwrap();
        let product = match scenario.provider {
            Provider::Shareid => Product::Onboarding,
            Provider::Shufti => Product::Shufti,
        };
        sandbox.create(Create::new(product).scenario(&scenario.name).callback(inbox.url())).unwrap();
    }
    let _ = shufti(&sandbox, "/", "{}");
    let _ = call("POST", &format!("{}/", sandbox.shufti_url()), &[], "{}");
    let url = format!("{}/flow/onboarding/fetch/auth/business", sandbox.shareid_url());
    let credentials = r#"{"business_hash":"sandbox-business-hash","api_key":"sandbox-api-key"}"#;
    let token = json(&call("POST", &url, &[], credentials))["token"].as_str().unwrap().to_owned();
    let url = format!("{}/flow/onboarding/fetch", sandbox.shareid_url());
    let _ =
        call("POST", &url, &[("authorization", &format!("Bearer {token}"))], r#"{"applicant_id":"nobody"}"#);
    for provider in [Provider::Shareid, Provider::Shufti] {
        let mut missing: Vec<_> = provider.table().events.iter().map(|row| row.name).collect();
        until("every event", || {
            let log = sandbox.log();
            missing.retain(|name| {
                !log.iter().any(|entry| {
                    entry.provider == provider
                        && match &entry.what {
                            What::Happened { event, .. } | What::Callback { event, .. } => event == name,
                            What::Call { said, .. } => {
                                let said = said.split(':').next();
                                said == Some(name) || (said == Some("not ready") && *name == "not_ready")
                            }
                        }
                })
            });
            missing.is_empty().then_some(())
        });
    }
}

#[test]
fn scenarios_are_read_from_json_and_say_what_is_wrong_with_them() {
    let text = r#"{
        "name": "echo", "provider": "shufti", "about": "an acceptance and its echo",
        "timeline": [
            {"at": "2s", "event": "verification.accepted", "fields": {"country": "FR"},
             "callbacks": [{}, {"after": "1m", "copies": 2, "key": "wrong", "answers_lost": 1}]},
            {"at": "90s", "event": "verification.declined", "codes": ["SPDR06"], "callbacks": []}
        ],
        "pull_faults": [null, "html_524"]
    }"#;
    let scenarios = Scenario::read(text).unwrap();
    assert_eq!(scenarios, Scenario::read(&format!("[{text}]")).unwrap());
    let again = serde_json::to_string(&scenarios).unwrap();
    assert_eq!(Scenario::read(&again).unwrap(), scenarios);
    let echo = Callback {
        after: Duration::from_secs(60),
        copies: 2,
        key: Key::Wrong,
        answers_lost: 1,
        ..Callback::default()
    };
    assert_eq!(scenarios[0].timeline[0].callbacks, [Callback::default(), echo]);

    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Scenario::read(&text.replace(from, to)).unwrap_err().to_string()
    };
    assert!(refused("\"2s\"", "\"two\"").contains("`200ms`, `5s`, `2m` or `1h`"));
    assert!(refused("\"2s\"", "\"two\"").contains("line 4"));
    assert!(refused("\"copies\"", "\"copy\"").contains("unknown field `copy`"));
    assert!(refused("\"90s\"", "\"1s\"").contains("out of order"));
    assert!(
        refused("verification.declined", "verification.denied")
            .contains("`verification.denied` is no event of shufti")
    );
    assert!(
        refused("verification.declined", "request.pending")
            .contains("does not follow `verification.accepted`")
    );
    assert!(refused("verification.accepted", "request.invalid").contains("does not happen by itself"));
    assert!(refused("\"echo\"", "\"a b\"").contains("letters, digits and hyphens"));
    assert!(
        Scenario::read(
            &text
                .replace("\"about\"", "\"undocumented\": true, \"about\"")
                .replace("verification.declined", "verification.denied")
        )
        .is_ok()
    );
}

#[test]
fn a_scenario_of_one_s_own_can_be_played_unknown_events_included() {
    let mut scenario = Scenario::new(
        Provider::Shufti,
        "own",
        vec![
            Step::new(Duration::from_secs(1), "verification.paused"),
            Step::new(Duration::from_secs(2), "verification.accepted")
                .with_callbacks([Callback { body: Some("<not json>".to_owned()), ..Callback::default() }]),
        ],
    );
    let refused =
        Sandbox::start(Config { scenarios: vec![scenario.clone()], ..config(100) }).unwrap_err().to_string();
    assert!(refused.contains("`own`") && refused.contains("`verification.paused`"), "{refused}");
    scenario.undocumented = true;
    let sandbox = Sandbox::start(Config { scenarios: vec![scenario], ..config(100) }).unwrap();
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "own", &inbox);
    let bodies: Vec<_> = (0..3).map(|_| inbox.next().body).collect();
    let events: Vec<_> = sent(&sandbox, &id).into_iter().map(|delivery| delivery.event).collect();
    assert_eq!(events, ["request.pending", "verification.paused", "verification.accepted"]);
    assert!(bodies.contains(&b"<not json>".to_vec()));
    assert_eq!(json(&status(&sandbox, &id))["event"], "verification.accepted");
}

#[test]
fn g8_the_same_seed_strikes_the_same_verifications() {
    let run = |seed| {
        let faults = Faults { seed, callback_percent: 60, ..Faults::default() };
        let sandbox = Sandbox::start(Config { faults, ..config(100_000) }).unwrap();
        let inbox = Inbox::answering(&[200]);
        for number in 0..30 {
            let create = Create::new(Product::Shufti).id(format!("kyc-{number:04}")).callback(inbox.url());
            sandbox.create(create).unwrap();
        }
        until("an end of it all", || {
            let truths = (0..30).all(|number| {
                sandbox.truth(Provider::Shufti, &format!("kyc-{number:04}")).unwrap().as_deref()
                    == Some("verification.accepted")
            });
            truths.then_some(())
        });
        // The latest callbacks come 36 ms late.
        std::thread::sleep(Duration::from_millis(60));
        let deliveries = until("an end of every delivery", || {
            let deliveries = sandbox.deliveries();
            deliveries.iter().all(|delivery| delivery.fate != Fate::Waiting).then_some(deliveries)
        });
        let mut fates: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for delivery in deliveries {
            fates
                .entry((delivery.id, delivery.event))
                .or_default()
                .push((delivery.attempts.len(), delivery.fate));
        }
        fates
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn a_one_off_event_is_signed_as_asked_and_judged_as_the_provider_would() {
    let inbox = Inbox::answering(&[200, 200, 202, 401]);
    let mut one_off = OneOff {
        provider: Provider::Shufti,
        id: "kyc-0001".to_owned(),
        event: "verification.declined".to_owned(),
        codes: vec![],
        to: inbox.url(),
        voucher: Voucher::Signature {
            rule: Rule::Before,
            header: SignatureHeader::Both,
            secret: "s3cret".into(),
        },
        key: Key::Right,
        times: 3,
    };
    let client = Client::new();
    let posted = one_off.post(&client).unwrap();
    assert_eq!(posted.iter().map(|post| post.is_delivered()).collect::<Vec<_>>(), [true, true, false]);
    let verifier = Verifier::new(Rule::Before, vec!["s3cret".into()]).unwrap();
    let came: Vec<_> = (0..3).map(|_| inbox.next()).collect();
    // The body as the documents have it: reference and event first.
    let begins = br#"{"reference":"kyc-0001","event":"verification.declined","email":null"#;
    assert!(came.iter().all(|came| came.is_signed(&verifier) && came.body.starts_with(begins)));
    assert_eq!(came[0].field("signature"), came[0].field("sp_signature"));
    one_off.key = Key::Wrong;
    one_off.times = 1;
    assert_eq!(one_off.post(&client).unwrap()[0].answer, Ok(401));
    assert!(!inbox.next().is_signed(&verifier));
    one_off.voucher =
        Voucher::Signature { rule: Rule::After, header: SignatureHeader::Signature, secret: "".into() };
    assert_eq!(one_off.post(&client).unwrap_err(), UnusableVoucher::EmptySecret);
    one_off.provider = Provider::Shareid;
    one_off.event = "ready.declined".to_owned();
    one_off.voucher = Voucher::Nothing;
    one_off.to = "http://127.0.0.1:1/".to_owned();
    assert!(one_off.post(&client).unwrap()[0].answer.is_err());
}

#[test]
fn it_stays_on_this_computer_unless_told_otherwise() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::start(Config { shufti_address: everywhere, ..config(1) }).unwrap_err().to_string();
    assert!(refused.contains("127.0.0.1"), "{refused}");
    assert!(
        Sandbox::start(Config { shufti_address: everywhere, beyond_loopback: true, ..config(1) }).is_ok()
    );
    let sandbox = sandbox(1);
    for url in ["https://example.com/", "http://10.0.0.1/", "ftp://127.0.0.1/", "nonsense"] {
        let refused = sandbox.create(Create::new(Product::Shufti).callback(url)).unwrap_err();
        assert_eq!(refused, idv_sandbox::CreateError::Callback, "{url}");
    }
    assert!(sandbox.create(Create::new(Product::Shufti).callback("http://[::1]:9/x?y=z")).is_ok());
    let unknown = sandbox.create(Create::new(Product::Shufti).scenario("nope")).unwrap_err().to_string();
    assert!(unknown.contains("`nope`") && unknown.contains("lost-callback"), "{unknown}");
}

#[test]
fn g10_no_secret_is_in_the_log_or_in_debug() {
    let config = config(1_000);
    let secrets = ["sandbox-secret-key", "sandbox-api-key", "sandbox-business-hash"];
    let shown = format!("{config:?}");
    let sandbox = Sandbox::start(config).unwrap();
    let inbox = Inbox::new();
    let id = shufti_for(&sandbox, "accepted", &inbox);
    let token = json(&shufti(&sandbox, "/get/access/token", ""))["access_token"].as_str().unwrap().to_owned();
    assert_eq!(events(&sandbox, &id, &inbox, 2).len(), 2);
    let log =
        serde_json::to_string(&sandbox.log()).unwrap() + &shown + &format!("{sandbox:?} {:?}", sandbox.log());
    assert!(log.contains("verification.accepted"));
    for secret in secrets.iter().copied().chain([token.as_str(), "Zoé", "1978-03-13"]) {
        assert!(!log.contains(secret), "{secret}");
    }
}
