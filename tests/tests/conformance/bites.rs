//! That the suite can fail: stories that are wrong, and adapters that decide for themselves.

use futures_util::future::BoxFuture;
use idv_async::{Client, Failure, Received, Transport};
use idv_core::http::Request;
use idv_core::time::Span;
use idv_smol::Smol;
use idv_tests::conformance::{Adapter, Running, Setup, play_all, play_bare, scenario::Scenario, scenarios};
use idv_tests::driving::FaultyStore;

const STORY: &str = r#"
    what = "The person is asked twice for a token."
    shows = ["G1"]
    account = { provider = "shareid", interval = "40ms" }
    story = [
      { open = "flow-1" },
      { request = "token", answer = "tok-1" },
      { request = "pull flow-1", with = "tok-1", answer = "not ready" },
      { request = "pull flow-1", with = "tok-1", answer = "accepted" },
      { revision = "flow-1 #1 accepted" },
      { quiet = "1s" },
    ]
"#;

/// What is said of the story where `this` stands in place of `that`.
fn instead(that: &str, this: &str) -> String {
    assert!(STORY.contains(that), "{that}");
    let scenario = Scenario::parse("a story", &STORY.replacen(that, this, 1));
    scenario.and_then(|scenario| play_bare(&scenario, 0)).unwrap_err()
}

#[test]
fn a_story_that_goes_otherwise_fails_and_says_where() {
    let scenario = Scenario::parse("a story", STORY).unwrap();
    play_bare(&scenario, 0).unwrap();

    let wrong = instead("#1 accepted", "#1 declined");
    assert!(wrong.starts_with("step 5, ") && wrong.contains("not \"flow-1 #1 declined\""), "{wrong}");
    let wrong = instead("#1 accepted\" }", "#1 accepted\", evidence = \"signed\" }");
    assert!(wrong.contains("its evidence is \"pulled\", not \"signed\""), "{wrong}");
    let wrong = instead("with = \"tok-1\", answer = \"accepted\"", "with = \"tok-2\", answer = \"accepted\"");
    assert!(wrong.starts_with("step 4, ") && wrong.contains("Bearer tok-2"), "{wrong}");
    let wrong = instead(
        "{ request = \"pull flow-1\", with = \"tok-1\", answer = \"not ready\" },",
        "{ quiet = \"1s\" },",
    );
    assert!(wrong.starts_with("step 3, ") && wrong.contains("something happened"), "{wrong}");
    let wrong = instead(
        "with = \"tok-1\", answer = \"not ready\"",
        "with = \"tok-1\", answer = \"not ready\", not_before = \"1s\"",
    );
    assert!(wrong.contains("ms after the last answer, not 1000 ms"), "{wrong}");
    let wrong = instead("{ revision = \"flow-1 #1 accepted\" },", "{ ended = \"flow-1 expired\" },");
    assert!(wrong.contains("waited in vain for an end") && wrong.contains("offered"), "{wrong}");
    let wrong = instead("{ revision = \"flow-1 #1 accepted\" },\n      { quiet = \"1s\" },", "");
    assert!(wrong.starts_with("after the story") && wrong.contains("offered"), "{wrong}");
    let wrong = instead("answer = \"accepted\"", "answer = 503");
    assert!(wrong.contains("say what the answer `means`"), "{wrong}");
    let wrong = instead("answer = \"accepted\"", "answer = 503, means = \"rate_limited\"");
    assert!(wrong.contains("the pull came to `server_error`"), "{wrong}");
}

#[test]
fn g5_a_callback_comes_again_when_the_provider_says_so_and_not_after_its_200() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/callback_retries.toml");
    let story = std::fs::read_to_string(path).unwrap();
    let wrong = |that: &str, this: &str| {
        assert!(story.contains(that), "{that}");
        let scenario = Scenario::parse("callback_retries", &story.replacen(that, this, 1)).unwrap();
        play_bare(&scenario, 0).unwrap_err()
    };
    let early = wrong("after = \"1h\"", "after = \"59min\"");
    assert!(early.contains("is 3600000, not 3540000"), "{early}");
    let last = wrong("after = \"24h\", answered = 200", "after = \"1h\", answered = 200");
    assert!(last.contains("is 86400000, not 3600000"), "{last}");
    let again = r#"{ callback = "flow-1 accepted", after = "24h", answered = 200 },"#;
    let after_all = wrong(again, &[again, again].join(" "));
    assert!(after_all.contains("the provider does not post it again"), "{after_all}");
    let busy = wrong("interval = \"48h\"", "interval = \"30min\"");
    assert!(busy.contains("something happened before the provider came again"), "{busy}");
}

#[test]
fn a_scenario_that_cannot_be_read_says_why() {
    let wrong = instead("{ open = \"flow-1\" }", "{ open = \"flow-1\", cancel = \"flow-1\" }");
    assert!(wrong.contains("step 1: more than one thing happens"), "{wrong}");
    let wrong = instead("{ open = \"flow-1\" }", "{ opens = \"flow-1\" }");
    assert!(wrong.contains("unknown field `opens`"), "{wrong}");
    let wrong = instead("request = \"token\"", "request = \"coffee\"");
    assert!(wrong.contains("step 2: `request = \"coffee\"`: expected `token` or `pull ID`"), "{wrong}");
    let wrong = instead("answer = \"accepted\"", "answer = \"applauded\"");
    assert!(wrong.contains("the provider does not say `applauded`"), "{wrong}");
    let wrong = instead("[\"G1\"]", "[\"G11\"]");
    assert!(wrong.contains("`G11` is no guarantee and no rule"), "{wrong}");
    let wrong = instead("interval = \"40ms\"", "interval = \"soon\"");
    assert!(wrong.contains("`soon`"), "{wrong}");
}

fn fails(adapter: &dyn Adapter, name: &str) -> String {
    let scenario: Vec<Scenario> =
        scenarios().unwrap().into_iter().filter(|scenario| scenario.name == name).collect();
    assert_eq!(scenario.len(), 1, "there is no scenario `{name}`");
    play_all(adapter, &scenario).unwrap_err()
}

/// Sends again, at once, what brought no answer; and goes where a redirect leads.
#[derive(Debug)]
struct Eager(Client<Smol>);

impl Transport for Eager {
    fn send<'a>(&'a self, request: &'a Request, within: Span) -> BoxFuture<'a, Result<Received, Failure>> {
        Box::pin(async move {
            match self.0.send(request, within).await {
                Ok(received) if received.status < 300 => Ok(received),
                Ok(_) | Err(_) => self.0.send(request, Span::millis(500)).await,
            }
        })
    }
}

#[test]
fn g7_an_adapter_that_sends_again_by_itself_fails() {
    let eager = crate::smol().over(Eager);
    for name in ["connection_reset_after_on_reuse", "server_error"] {
        let problem = fails(&eager, name);
        assert!(problem.contains("until then:"), "{problem}");
    }
}

/// Keeps nothing.
struct Forgetful;

impl Adapter for Forgetful {
    fn name(&self) -> &'static str {
        "a forgetful adapter"
    }

    fn start(&self, setup: Setup) -> Result<Box<dyn Running>, String> {
        crate::smol().start(Setup { store: FaultyStore::default(), ..setup })
    }
}

#[test]
fn g9_an_adapter_that_does_not_ask_the_store_fails() {
    let problem = fails(&Forgetful, "crash_with_an_unapplied_callback");
    assert!(problem.contains("callbacks is [], not [1]"), "{problem}");
}
