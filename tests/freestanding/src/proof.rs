//! What the core must do here: its parts one by one, then a verification from opening to the revision that its answer makes.

use idv_core::backoff::Backoff;
use idv_core::budget::{self, Budget};
use idv_core::evidence::Verdict;
use idv_core::fleet::{Action, At, Fleet, FleetPolicy};
use idv_core::http::{Answer, Headers, Request};
use idv_core::json::Body;
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::provider::{Authenticity, Provider};
use idv_core::secret::Secret;
use idv_core::shufti::Account;
use idv_core::time::{Instant, Span};
use idv_core::token::{self, Token};

/// Runs every check.
///
/// # Errors
/// The number of the first check that did not hold.
pub(crate) fn run() -> Result<(), u8> {
    backoff().then_some(()).ok_or(1)?;
    headers().then_some(()).ok_or(2)?;
    secrets().then_some(()).ok_or(3)?;
    json().then_some(()).ok_or(4)?;
    token().ok_or(5)?;
    budget().ok_or(6)?;
    signature().ok_or(7)?;
    verification().ok_or(8)?;
    Ok(())
}

fn backoff() -> bool {
    let backoff = Backoff { first: Span::secs(1), most: Span::mins(1), jitter_percent: 20 };
    backoff.delay(1, 0) == Span::secs(1) && backoff.delay(9, u32::MAX) == backoff.longest()
}

fn headers() -> bool {
    Headers(&[("Signature", b"a"), ("signature", b"b")]).all("SIGNATURE").count() == 2
}

fn secrets() -> bool {
    let secret = Secret::from("secret");
    secret == Secret::from("secret") && secret != Secret::from("Secret")
}

/// Escapes as PHP writes them, and the place of a fault.
fn json() -> bool {
    let good = Body::new(br#"{"reference":"kyc-1","verification_url":"https:\/\/example.com\/\u00e9"}"#);
    let url = good.object(&[]).complete().ok().and_then(|object| object.get("verification_url")?.text());
    let bad = Body::new(b"{\"reference\":\"kyc-1\",\n  }");
    let place = bad.object(&[]).complete().err().map(|unreadable| unreadable.line);
    url.as_deref() == Some("https://example.com/\u{e9}") && place == Some(2)
}

/// Wanted, asked for, received, used until shortly before its end.
fn token() -> Option<()> {
    let policy = token::Policy::reusable(Span::mins(10)).build().ok()?;
    let start = Instant::from_millis(1_000);
    let mut token = Token::new();
    let mut op = None;
    for input in [token::Input::Wanted, token::Input::Granted] {
        for action in token.step(Cx::new(start, &policy, 0), input).actions {
            if let token::Action::Request { op: number, .. } = action {
                op = Some(number);
            }
        }
    }
    let received = token::Input::Received { op: op?, ttl: None };
    let step = token.step(Cx::new(start.after(Span::secs(2)), &policy, 0), received);
    let end = start.after(policy.ttl());
    (step.disposition == Disposition::Applied
        && token.usable(&policy, end.before(policy.margin().plus(Span::MIN))) == op
        && token.usable(&policy, end).is_none())
    .then_some(())
}

/// The burst is granted, the next call is not.
fn budget() -> Option<()> {
    let policy = budget::Policy::per_window(20, Span::mins(1), 2).ok()?;
    let mut budget = Budget::new();
    let mut take = || budget.step(Cx::new(Instant::from_millis(1_000), &policy, 0), budget::Input::Take);
    let granted = [take(), take(), take()].map(|step| step.disposition);
    (granted == [Disposition::Applied, Disposition::Applied, Disposition::NoOp]
        && matches!(budget.next(&policy), Next::At(_)))
    .then_some(())
}

/// A body with its signature by either rule, made with another implementation.
const BODY: &[u8] = br#"{"reference":"kyc-1","event":"verification.accepted"}"#;
const BEFORE: &str = "8e3633d0e93a81717323df9d38499302c97ebc08678140b5dce6d671d9d8d206";
const AFTER: &str = "d9b5eefa7b9a8f5fa1bbf0accd518d3258c42614a579788bffd6690e30fcb518";

fn account() -> Option<Account> {
    Account::builder("client", Secret::from("secret")).build().ok()
}

/// Both rules verify, a changed body does not; the callback is read.
fn signature() -> Option<()> {
    let account = account()?;
    let check = |signature: &str, body: &[u8]| {
        let mut check = account.check_callback(Headers(&[("Signature", signature.as_bytes())]));
        body.chunks(7).for_each(|chunk| check.update(chunk));
        check.finish()
    };
    let checked = check(AFTER, BODY);
    let reading = account.read_callback(BODY, &checked);
    (checked.authenticity == Authenticity::Signed
        && check(BEFORE, BODY).authenticity == Authenticity::Signed
        && check(AFTER, &BODY[1..]).authenticity == Authenticity::Wrong
        && reading.id.as_deref() == Some("kyc-1"))
    .then_some(())
}

/// Opened, pulled with a complete request, answered with a signed verdict, handed over as revision 1, confirmed.
fn verification() -> Option<()> {
    let account = account()?;
    let rules = account.rules();
    let mut fleet = Fleet::new(FleetPolicy { sessions: 4, tombstones: 2, ..FleetPolicy::default() });
    let door = fleet.add_door(rules.door().ok()?);
    let id = fleet.add_account(door, rules.account(account.name()).ok()?);
    let at = At::new(Instant::from_millis(1_000), 7);
    let key = fleet.open(at, id, "kyc-1", None, &mut |_| {}).ok()?;

    let mut pull = None;
    fleet.run(at, 16, &mut |action| {
        if let Action::Pull { op, generation, .. } = action {
            pull = Some((op, generation));
        }
    });
    let (op, generation) = pull?;
    let mut request = Request::new();
    account.pull_request("kyc-1", None, &mut request);
    let asks = request.method == "POST" && request.url.ends_with("/status") && !request.body.is_empty();

    let headers = [("Signature", AFTER.as_bytes()), ("content-type", b"application/json")];
    let answer = Answer { status: 200, headers: Headers(&headers), body: BODY };
    let outcome = account.read_pull("kyc-1", &answer, None).outcome;
    let mut revision = None;
    fleet.pulled(at, key, op, generation, outcome, &mut |action| {
        if let Action::HandOver { revision: handed_over, .. } = action {
            revision = Some(handed_over);
        }
    });
    let revision = revision?;
    let confirmed = fleet.handed_over(at, key, revision.number, &mut |_| {});
    (asks
        && revision.number == 1
        && revision.verdict == Verdict::Accepted
        && confirmed == Disposition::Applied
        && fleet.session(key)?.is_settled())
    .then_some(())
}
