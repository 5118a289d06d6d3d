//! What the core must do here.

use idv_core::backoff::Backoff;
use idv_core::budget::{self, Budget};
use idv_core::http::Headers;
use idv_core::json::Body;
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::secret::Secret;
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
    let url = good.object().complete().ok().and_then(|object| object.get("verification_url")?.text());
    let bad = Body::new(b"{\"reference\":\"kyc-1\",\n  }");
    let place = bad.object().complete().err().map(|unreadable| unreadable.line);
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
