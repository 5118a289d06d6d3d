//! `idv demo` and `idv sandbox`.

use crate::idv::{Ran, Running, bare};
use serde_json::json as object;
use std::time::Duration;

#[test]
fn the_demonstration_ends_well_and_says_what_came_of_each_verification() {
    let ran = Ran::of(bare(&["demo", "--json"])).exits(0);
    assert!(ran.took < Duration::from_secs(60));
    let told = ran.objects();
    let of = |kind: &str| told.iter().filter(|object| object["type"] == kind).cloned().collect::<Vec<_>>();
    let results = of("result");
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|result| result["as_expected"] == true));
    assert!(results.iter().any(|result| result["verdicts"] == object!(["accepted", "declined"])), "a flip");
    assert_eq!(of("revision").len(), 6, "each revision once");
    assert!(of("callback").iter().any(|callback| callback["evidence"] == "refused"), "a forged callback");
    assert_eq!(of("summary")[0]["as_expected"], true);
}

#[test]
fn a_demonstration_can_be_interrupted() {
    let mut running = Running::start(bare(&["demo"]));
    assert!(running.line().contains("ShareID on http://127.0.0.1:"));
    running.interrupt().exits(130);
}

#[test]
fn the_sandbox_shows_how_to_watch_what_it_plays() {
    let arguments = ["sandbox", "--json", "--time-factor", "1000", "--create", "shufti:declined"];
    let mut sandbox = Running::start(bare(&arguments));
    let started = sandbox.object();
    let created = sandbox.object();
    assert_eq!((&started["kind"], &created["kind"]), (&object!("started"), &object!("created")));
    let (url, id) = (started["shufti"].as_str().unwrap(), created["id"].as_str().unwrap());

    // The credentials are the ones that the text form shows.
    let mut shown = Running::start(bare(&["sandbox"]));
    let (_, line) = (shown.line(), shown.line());
    let mut watch = bare(&["watch", "shufti", id, "--api-url", url, "--cadence", "50ms", "--json"]);
    watch.envs(line.split_whitespace().filter_map(|word| word.split_once('=')));
    let ran = Ran::of(watch).exits(0);
    assert_eq!(ran.objects()[0]["verdict"], "declined");
    shown.interrupt().exits(130);
    sandbox.interrupt().exits(130);
}

#[test]
fn the_sandbox_names_its_scenarios() {
    let ran = Ran::of(bare(&["sandbox", "--list"])).exits(0);
    for name in ["accepted", "declined", "flip", "lost-callback", "forged"] {
        assert!(ran.stdout.contains(name), "{name}");
    }
    Ran::of(bare(&["sandbox", "--create", "shufti:no-such-scenario"])).exits(2).complains("no-such-scenario");
}
