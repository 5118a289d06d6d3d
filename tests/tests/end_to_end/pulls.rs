//! Polling: tokens, not ready, limits.

use crate::{ACCEPTED, KEY, World, config, now, shareid_account};
use idv_core::evidence::{Evidence, Outcome, Verdict};
use idv_core::rules::Rules;
use idv_core::shareid::Flow;
use idv_core::shufti::{self, AuthMode};
use idv_core::time::Span;
use idv_sandbox::{Create, Faults, Limit, Product, Provider, Sandbox, Tls};
use idv_tests::driving::{account, quick};
use idv_tests::identity::Identity;
use idv_ureq::Client;
use idv_ureq::transport::Options;
use std::time::Duration;

#[test]
fn r14_g7_a_token_is_used_again_until_its_life_or_the_provider_ends_it() {
    let world = World::new();
    let verification = world.shareid("pending", "flow-1");
    let counts = || world.sandbox.statistics().shareid;
    let mut op = world.pulled("flow-1", 5);
    assert_eq!((counts().tokens, counts().unauthorized), (1, 0), "one token for many pulls");

    // Ten minutes later by our clock it may be dead: another one is asked for, and the old one is not tried.
    world.application.leap(Span::mins(10), verification);
    op = world.pulled("flow-1", op + 3);
    assert_eq!((counts().tokens, counts().unauthorized), (2, 0));

    // It dies at the provider in the middle of the polling: one 401, one renewal, and on.
    world.sandbox.revoke_tokens();
    op = world.pulled("flow-1", op + 3);
    assert_eq!((counts().tokens, counts().unauthorized), (3, 1));

    // A second time within 30 s: the renewal waits, so that a provider that refuses everything is not stormed.
    world.sandbox.revoke_tokens();
    world.application.event(|event| match event {
        idv_ureq::Event::Pulled { outcome: Outcome::Refused, .. } => Some(()),
        _ => None,
    });
    world.application.leap(Span::secs(5), verification);
    assert_eq!((counts().tokens, counts().unauthorized), (3, 2));
    world.application.leap(Span::secs(31), verification);
    world.pulled("flow-1", op + 3);
    assert_eq!((counts().tokens, counts().unauthorized), (4, 2));

    world.happen(Provider::Shareid, "flow-1", &now("ready.accepted").lost());
    assert_eq!(world.application.revision().verdict, Verdict::Accepted);
}

#[test]
fn r14_single_use_tokens_are_asked_for_one_by_one() {
    let sandbox = Sandbox::start(config(1_000)).unwrap();
    let id = sandbox.create(Create::new(Product::Shufti).scenario("review")).unwrap();
    let provider = shufti::Account::builder("sandbox-client-id", KEY.into()).base_url(sandbox.shufti_url());
    let provider = provider.auth(AuthMode::AccessToken).build().unwrap();
    let rules = quick(&provider);
    let revision = idv_ureq::wait(account(provider, &rules), &id, &Client::new()).unwrap();
    assert_eq!(revision.verdict, Verdict::Accepted);
    let counts = sandbox.statistics().shufti;
    assert_eq!((counts.unauthorized, counts.tokens), (0, counts.pulls));
}

#[test]
fn g1_not_ready_then_ready_within_the_cadence() {
    let sandbox = Sandbox::start(config(1_000)).unwrap();
    let provider = shareid_account(sandbox.shareid_url(), Flow::Onboarding);
    let rules = quick(&provider);
    for (scenario, verdict) in
        [("not-ready", Verdict::Accepted), ("declined", Verdict::Declined), ("technical", Verdict::Declined)]
    {
        let id = sandbox.create(Create::new(Product::Onboarding).scenario(scenario)).unwrap();
        let revision = idv_ureq::wait(account(provider.clone(), &rules), &id, &Client::new()).unwrap();
        assert_eq!((revision.number, revision.verdict, revision.evidence), (1, verdict, Evidence::Pulled));
        let technical: Vec<_> =
            revision.statement.unwrap().reasons.iter().map(|reason| reason.technical).collect();
        assert_eq!(technical.contains(&true), scenario == "technical");
    }
    let counts = sandbox.statistics().shareid;
    assert!(counts.pulls >= 4 + 2, "{counts:?}");
    assert_eq!((counts.pulls_too_soon, counts.unauthorized, counts.invalid), (0, 0, 0));
}

#[test]
fn r13_a_limit_that_is_tighter_than_ours_is_obeyed_by_its_retry_after() {
    let limit = Limit { calls: 2, window: Duration::from_secs(30) };
    let world =
        World::with(idv_sandbox::Config { shufti_limit: Some(limit), ..config(60) }, |rules| rules, |_| ());
    world.shufti("quiet", "order-1");
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED).lost());
    world.shufti("quiet", "order-2");
    world.shufti("quiet", "order-3");
    for id in ["order-2", "order-3"] {
        world.happen(Provider::Shufti, id, &now(ACCEPTED).lost());
    }
    for _ in 0..3 {
        assert_eq!(world.application.revision().verdict, Verdict::Accepted);
    }
    let counts = world.sandbox.statistics().shufti;
    // After the first refusals nobody knocks before the second is over.
    assert!((1..=6).contains(&counts.limited), "{counts:?}");
}

#[test]
fn g1_every_fault_of_an_answer_is_survived() {
    let faults = Faults { slow_body: Duration::from_secs(5), ..Faults::default() };
    let sandbox = Sandbox::start(idv_sandbox::Config { faults, ..config(1_000) }).unwrap();
    let id = sandbox.create(Create::new(Product::Shufti).scenario("flaky-status")).unwrap();
    let provider = crate::shufti_account(sandbox.shufti_url());
    let (application, account) = idv_tests::driving::Application::start(|builder| {
        let rules = Rules { call_timeout: Span::secs(1), ..quick(&provider) };
        builder.account(account(provider, &rules))
    });
    let verification = application.driver.open(account, &id).unwrap();
    for pull in 1..=13_u32 {
        application.event(|event| match event {
            idv_ureq::Event::Pulled { op, outcome, diagnosis, .. } => {
                let failed = matches!(outcome, Outcome::Failed(_));
                assert_eq!((op, failed, diagnosis.is_some()), (pull, pull < 13, pull < 13), "{diagnosis:?}");
                Some(())
            }
            _ => None,
        });
        if pull < 13 {
            application.leap(Span::mins(3), verification);
        }
    }
    assert_eq!(application.revision().verdict, Verdict::Accepted);
    assert_eq!(sandbox.statistics().shufti.faults, 12);
}

#[test]
fn both_roads_work_over_tls() {
    let (theirs, ours) = (Identity::new(&["127.0.0.1"]), Identity::new(&["127.0.0.1"]));
    let tls = Tls { chain: theirs.certificate_pem.clone().into_bytes(), key: theirs.key_pem.as_str().into() };
    let roots_pem = Some(theirs.certificate_pem.clone().into_bytes());
    let client = Client::with_options(&Options { roots_pem, ..Options::default() }).unwrap();
    let callback_roots = Some(ours.certificate_pem.clone().into_bytes());
    let sandbox_config = idv_sandbox::Config { tls: Some(tls), callback_roots, ..config(1) };
    let mut world = World::with(
        sandbox_config,
        |rules| rules,
        |builder| {
            builder.transport(client);
        },
    );
    let server = idv_listener::tls::config_from_pem(ours.certificate_pem.as_bytes(), ours.key_pem.as_bytes());
    let listener = idv_listener::Config { tls: Some(server.unwrap()), ..idv_listener::Config::default() };
    let paths = [("/callbacks/shufti", world.shufti), ("/callbacks/shareid", world.authenticate)];
    let address = world.application.driver.listen_with("127.0.0.1:0".parse().unwrap(), &paths, listener);
    (world.address, world.scheme) = (address.unwrap(), "https");
    for (provider, first, second) in [
        (Provider::Shufti, ACCEPTED, crate::DECLINED),
        (Provider::Shareid, "ready.accepted", "ready.declined"),
    ] {
        let verification = match provider {
            Provider::Shufti => world.shufti("quiet", "order-1"),
            Provider::Shareid => world.shareid("pending", "flow-1"),
        };
        let id = if provider == Provider::Shufti { "order-1" } else { "flow-1" };
        world.happen(provider, id, &now(first).lost());
        assert_eq!(world.application.revision().verdict, Verdict::Accepted);
        world.quiet(verification);
        world.happen(provider, id, &now(second).with_codes(&["SPDR06"]));
        let change = world.application.revision();
        assert_eq!(
            (change.number, change.verdict, change.evidence),
            (2, Verdict::Declined, Evidence::Pulled)
        );
    }
    let statistics = world.sandbox.statistics();
    assert_eq!((statistics.shufti.attempts, statistics.shareid.attempts), (1, 1));
}
