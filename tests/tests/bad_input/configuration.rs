//! Configurations that can never end, or never work: refused before anything is sent, each with what is wrong and what to do.

use crate::discreet;
use idv_core::provider::Provider;
use idv_core::receipt::Policy;
use idv_core::rules::Rules;
use idv_core::shareid::{self, Flow};
use idv_core::shufti;
use idv_core::time::Span;
use idv_tests::driving::{CLIENT_ID, SECRET, shareid_at, shufti_at};
use idv_ureq::transport::Options;
use idv_ureq::{Account, Client};

fn refused(what: &str, rules: Rules, words: &[&str]) {
    let provider = shareid_at("http://127.0.0.1:1", Flow::Onboarding);
    let error = Account::with_rules(provider, &rules).map(|_| ()).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{what}: `{word}` is not in: {error}");
    }
    discreet(&error);
}

#[test]
fn g6_a_configuration_that_can_never_end_or_never_pull_is_refused_with_the_reason() {
    let rules = shareid_at("http://127.0.0.1:1", Flow::Onboarding).rules();
    refused(
        "one pull",
        rules.with_cadence(Span::mins(80)),
        &["deadline of", "only one pull would ever be made", "choose a longer deadline or a shorter cadence"],
    );
    refused(
        "interval",
        Rules { interval: Span::secs(1), ..rules },
        &["below the cadence", "choose an interval"],
    );
    refused("no calls", Rules { calls: 0, ..rules }, &["0", "call"]);
    refused("no burst", Rules { burst: 0, ..rules }, &["burst"]);
    // A token whose margin leaves nothing of its life.
    refused("token", Rules { token_ttl: Span::MIN, ..rules }, &["token"]);
    // As long as it is finite, it ends.
    let longest = Rules { deadline: Span::MAX, watch: None, ..rules };
    assert!(Account::with_rules(shareid_at("http://127.0.0.1:1", Flow::Onboarding), &longest).is_ok());
}

#[test]
fn a_callback_policy_that_could_answer_nothing_in_time_is_refused_with_the_reason() {
    let error = Policy::builder(0).build().unwrap_err().to_string();
    assert!(error.contains("every callback would be refused: allow at least 1"), "{error}");
    let error = Policy::builder(1).answer_within(Span::secs(3)).build().unwrap_err().to_string();
    assert!(error.contains("the provider gives up after") && error.contains("answer sooner"), "{error}");
    let provider = shufti_at("http://127.0.0.1:1");
    let built = shufti::Account::builder(CLIENT_ID, SECRET.into()).callback_body_cap(0).build().unwrap_err();
    assert!(built.to_string().contains("give at least 1 byte"), "{built}");
    let zero = shareid_at("http://127.0.0.1:1", Flow::Onboarding).with_callback_body_cap(0);
    let error = Account::new(zero).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("allow at least 1"), "{error}");
    assert!(Account::new(provider).is_ok());
}

#[test]
fn credentials_and_addresses_that_cannot_be_used_are_refused_without_being_shown() {
    let shufti = |id: &str, secret: &str, url: &str| {
        shufti::Account::builder(id, secret.into()).base_url(url).build().map(|_| ()).unwrap_err().to_string()
    };
    let shareid = |hash: &str, key: &str, url: &str| {
        shareid::Account::new(url, Flow::Onboarding, hash.into(), key.into())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let url = "https://api.example.org";
    for (error, words) in [
        (shufti("", SECRET, url), "the client id is empty"),
        (shufti("client-id-of-the-tests:x", SECRET, url), "holds a colon"),
        (shufti(CLIENT_ID, "", url), "secret key 1 is empty; remove it"),
        (shufti(CLIENT_ID, SECRET, "api.example.org"), "http"),
        (shufti(CLIENT_ID, SECRET, ""), "http"),
        (shufti(CLIENT_ID, SECRET, "ftp://api.example.org"), "http"),
        (shareid("", "key-of-the-tests", url), "business hash is empty"),
        (shareid("hash-of-the-tests\n", "key-of-the-tests", url), "was a line break read with it?"),
        (shareid("hash-of-the-tests", "", url), "API key is empty"),
    ] {
        assert!(error.contains(words), "`{words}` is not in: {error}");
        discreet(&error);
    }
    let bearer = shareid_at(url, Flow::Onboarding)
        .with_callback_bearer("tok-secret x".into())
        .unwrap_err()
        .to_string();
    assert!(bearer.contains("give the token alone"), "{bearer}");
    discreet(&bearer);
    let options = Options { roots_pem: Some(b"tok-secret".to_vec()), ..Options::default() };
    let roots = Client::with_options(&options).unwrap_err().to_string();
    assert!(roots.contains("no certificate found: expected PEM text"), "{roots}");
    discreet(&roots);
}
