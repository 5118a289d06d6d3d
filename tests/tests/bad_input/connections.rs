//! Connections that do not come about, and clocks that go back.

use crate::{accepted, discreet, document, signed};
use idv_core::evidence::{FaultKind, Outcome, Verdict};
use idv_core::session::End;
use idv_core::shareid::Flow;
use idv_core::time::Span;
use idv_tests::driving::{Application, LeapingClock, account, quick, shareid_at, shufti_at};
use idv_tests::identity::Identity;
use idv_tests::wire::{Peer, Said, Script};
use idv_ureq::transport::Options;
use idv_ureq::{Client, Event, SharedMemory, WaitError};
use std::net::TcpListener;

fn trusting(identity: &Identity) -> Client {
    let roots_pem = Some(identity.certificate_pem.clone().into_bytes());
    Client::with_options(&Options { roots_pem, ..Options::default() }).unwrap()
}

/// Waits in vain for a verdict of a provider with this certificate.
fn refused(identity: &Identity, client: &Client) -> String {
    let peer = Peer::start_tls(identity, |_| accepted("order-1"));
    let provider = shufti_at(&peer.url());
    let rules = quick(&provider).with_deadline(Span::millis(100));
    let error = idv_ureq::wait(account(provider, &rules), "order-1", client).unwrap_err();
    assert!(matches!(error, WaitError::Unreachable { .. }), "{error:?}");
    assert!(peer.asked().is_empty(), "the secret key was sent to a peer that is not trusted");
    let error = error.to_string();
    discreet(&error);
    assert!(error.starts_with("the provider was never reached: the certificate of 127.0.0.1:"), "{error}");
    error
}

#[test]
fn a_tls_failure_names_what_is_wrong_with_the_certificate() {
    let self_signed = Identity::new(&["127.0.0.1"]);
    let error = refused(&self_signed, &Client::new());
    assert!(error.contains("self-signed, or its authority is not among the trusted roots"), "{error}");

    let expired = Identity::expired(&["127.0.0.1"]);
    let error = refused(&expired, &trusting(&expired));
    assert!(error.contains("it has expired") && error.contains("days ago"), "{error}");

    let other_host = Identity::new(&["api.example.org"]);
    let error = refused(&other_host, &trusting(&other_host));
    assert!(error.contains("wrong name: it was issued for") && error.contains("api.example.org"), "{error}");

    let good = Peer::start_tls(&self_signed, |_| accepted("order-1"));
    let provider = shufti_at(&good.url());
    let rules = quick(&provider);
    let revision = idv_ureq::wait(account(provider, &rules), "order-1", &trusting(&self_signed)).unwrap();
    assert_eq!(revision.verdict, Verdict::Accepted);
}

#[test]
fn https_where_plain_http_is_spoken_says_so() {
    let plain = Peer::start(|_| Said::raw(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closing.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in closing.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let provider = shufti_at(&format!("https://{address}"));
    let rules = quick(&provider).with_deadline(Span::millis(100));
    let error = idv_ureq::wait(account(provider, &rules), "order-1", &Client::new()).unwrap_err().to_string();
    assert!(error.contains("does not speak TLS") || error.contains("the connection"), "{error}");
    drop(plain);
}

#[test]
fn g1_a_provider_that_is_not_there_is_named_and_asked_again_until_it_is() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (shufti, shareid) = (
        shufti_at(&format!("http://{address}")),
        shareid_at(&format!("http://{address}"), Flow::Authenticate),
    );
    let (application, (shufti, shareid)) = Application::start(|builder| {
        let (shufti_rules, shareid_rules) = (quick(&shufti), quick(&shareid));
        (builder.account(account(shufti, &shufti_rules)), builder.account(account(shareid, &shareid_rules)))
    });
    let order = application.driver.open(shufti, "order-1").unwrap();
    let diagnosis = application.event(|event| match event {
        Event::Pulled { outcome: Outcome::Failed(fault), reached, diagnosis, .. } => {
            assert_eq!((fault.kind, reached), (FaultKind::Unreachable, false));
            diagnosis
        }
        _ => None,
    });
    let expected = format!("{address}: connection refused; is the service running, and the port right?");
    assert_eq!(diagnosis, expected);
    let flow = application.driver.open(shareid, "flow-1").unwrap();
    let no_token = application.event(|event| match event {
        Event::NoToken { refused: false, diagnosis, .. } => diagnosis,
        _ => None,
    });
    assert_eq!(no_token, expected);

    let script = Script::default();
    script.set("token", [Said::json(200, r#"{"token":"tok-secret"}"#)]);
    script.set("order-1", [accepted("order-1")]);
    script.set("flow-1", [Said::json(200, r#"{"reasons":[]}"#)]);
    let _peer = Peer::start_at(address, move |asked| script.answer(asked));
    application.leap(Span::secs(5), order);
    application.leap(Span::secs(5), flow);
    for _ in 0..2 {
        assert_eq!(application.revision().verdict, Verdict::Accepted);
    }
}

#[test]
fn g6_a_calendar_that_goes_back_changes_nothing_but_dates() {
    let script = Script::default();
    script.set("order-1", [signed(200, document("order-1", "request.pending"))]);
    script.set(
        "order-2",
        [Said::new(503, &[("retry-after", "Sun, 01 Jun 2025 12:00:00 GMT")], b""), accepted("order-2")],
    );
    let peer = script.serve();
    let provider = shufti_at(&peer.url());
    let rules = quick(&provider);
    let store = SharedMemory::default();
    let start = |calendar: i64| {
        let clock = LeapingClock::new();
        clock.set_calendar(calendar);
        Application::start_by(clock, |builder| {
            builder.store(store.clone());
            builder.account(account(provider.clone(), &rules))
        })
    };
    let (application, account) = start(0);
    let pending = application.driver.open(account, "order-1").unwrap();
    application.event(|event| matches!(event, Event::Pulled { op: 2, .. }).then_some(()));
    // Back by fifty years, in the middle of the polling.
    application.clock.set_calendar(-1_576_800_000_000);
    let pulls = peer.asked_about("order-1");
    application.event(|event| matches!(event, Event::Pulled { .. }).then_some(()));
    let left = application.driver.status(pending).unwrap().unwrap().time_left.unwrap();
    assert!(left.as_secs() > 70 * 60, "{left:?}");
    assert!(peer.asked_about("order-1") >= pulls);
    // A date far ahead of the calendar closes the door for no longer than the cap of 15 minutes.
    application.driver.open(account, "order-2").unwrap();
    application.event(|event| matches!(event, Event::Pulled { id, .. } if &*id == "order-2").then_some(()));
    application.leap(Span::mins(19), pending);
    let revision = application.revision();
    assert_eq!((&*revision.id, revision.verdict), ("order-2", Verdict::Accepted));
    drop(application);

    // The snapshot was written under a calendar that was ahead: no time has passed since, and the deadline still comes.
    let (application, account) = start(-1_700_000_000_000);
    let again = application.driver.open(account, "order-1").unwrap_err();
    assert!(again.to_string().contains("open already"), "{again}");
    application.event(|event| matches!(event, Event::Pulled { .. }).then_some(()));
    let other = application.driver.open(account, "order-2").unwrap_err();
    assert!(other.to_string().contains("open already"), "{other}");
    application.clock.leap(Span::mins(80));
    let third = application.driver.open(account, "order-3").unwrap();
    application.leap(Span::mins(2), third);
    let end = application.event(|event| match event {
        Event::Ended { id, end, .. } if &*id == "order-1" => Some(end),
        _ => None,
    });
    assert_eq!(end, End::Expired);
}

#[test]
fn g6_a_steady_clock_that_goes_back_all_the_same_delays_but_loses_nothing() {
    let script = Script::default();
    let pending = || signed(200, document("order-1", "request.pending"));
    script.set("order-1", [pending()]);
    let peer = script.serve();
    let provider = shufti_at(&peer.url());
    let rules = quick(&provider);
    let (application, account) = Application::start(|builder| builder.account(account(provider, &rules)));
    application.clock.leap(Span::hours(1));
    let verification = application.driver.open(account, "order-1").unwrap();
    application.event(|event| matches!(event, Event::Pulled { op: 2, .. }).then_some(()));
    application.clock.go_back(Span::mins(30));
    script.set("order-1", [accepted("order-1")]);
    // It waits for the moment that it had reached already, and goes on from there.
    application.leap(Span::mins(31), verification);
    assert_eq!(application.revision().verdict, Verdict::Accepted);
}
