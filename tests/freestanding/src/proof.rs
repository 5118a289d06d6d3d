//! What the core must do here: its parts one by one, then a verification from opening to the confirmed revision that its answer makes, and
//! a callback from its head to its 200.

use alloc::borrow::ToOwned;
use alloc::sync::Arc;
use idv_core::backoff::Backoff;
use idv_core::budget::{self, Budget};
use idv_core::engine::reception::{Action, Endpoint, Reception};
use idv_core::engine::{self, Engine, Moment, Policy, Queue, Task, Turn};
use idv_core::evidence::Verdict;
use idv_core::fleet::FleetPolicy;
use idv_core::http::{Headers, Received};
use idv_core::json::Body;
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::provider::{Authenticity, Provider};
use idv_core::receipt;
use idv_core::secret::Secret;
use idv_core::session::EvidencePolicy;
use idv_core::shufti::Account;
use idv_core::store::MemoryStore;
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
    callback().ok_or(9)?;
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

/// Opened, pulled with a complete request, answered with a signed verdict, saved, handed over as revision 1, confirmed.
fn verification() -> Option<()> {
    let moment = Moment::new(Instant::from_millis(1_000), 0, 7);
    let fleet = FleetPolicy { sessions: 4, tombstones: 2, ..FleetPolicy::default() };
    let mut engine = Engine::new(Policy { fleet, ..Policy::default() });
    let account = engine.add_account(engine::Account::new(account()?).ok()?);
    let (mut store, mut queue) = (MemoryStore::new(4, 1 << 16), Queue::new(engine));
    let key = queue.input(|engine, tasks| engine.open(moment, account, "kyc-1", None, tasks)).ok()?;

    let (mut asks, mut taken) = (false, None);
    loop {
        let completion = match queue.next(moment) {
            Turn::Task(Task::Call(call)) => call.perform(moment, |request, _| {
                asks =
                    request.method == "POST" && request.url.ends_with("/status") && !request.body.is_empty();
                let headers = [("signature", AFTER), ("content-type", "application/json")];
                let headers =
                    headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
                Ok(Received { status: 200, headers, body: BODY.to_vec() })
            }),
            Turn::Task(Task::Store(task)) => task.perform(&mut store),
            Turn::Task(Task::HandOver(hand_over)) => {
                taken = Some((hand_over.key().2, hand_over.verdict()));
                hand_over.taken()
            }
            Turn::Task(Task::Opened(_) | Task::Tell(_)) => continue,
            Turn::Wait(_) => break,
        };
        queue.complete(moment, completion);
    }
    let engine = queue.engine();
    let status = engine.status(key, moment.now)?;
    (asks && taken == Some((1, Verdict::Accepted)) && status.state == "Settled" && engine.is_finished())
        .then_some(())
}

/// A signed callback in two pieces, recorded, then answered 200.
fn callback() -> Option<()> {
    let account = account()?;
    let policy = receipt::Policy::builder(account.callback_body_cap()).build().ok()?;
    let endpoint = Endpoint { provider: Arc::new(account), policy, evidence: EvidencePolicy::ConfirmByPull };
    let now = Instant::from_millis(1_000);
    let (mut store, mut arrived) = (MemoryStore::new(4, 1 << 16), None);
    let mut reception = Reception::begin(endpoint, 1, now);
    let mut todo = reception.head(now, "POST", Headers(&[("Signature", AFTER.as_bytes())]));
    for piece in BODY.chunks(40) {
        todo.extend(reception.chunk(now, piece));
    }
    todo.extend(reception.complete(now, 0));
    while let Some(action) = todo.pop() {
        match action {
            Action::Examine(task) => todo.extend(reception.examined(now, task.perform())),
            Action::Record(task) => {
                todo.extend(reception.committed(now, task.perform(&mut store).ok()?));
            }
            Action::Arrived(it) => arrived = it.position().zip(it.claims()),
            Action::Answer(_) | Action::Tell(_) => {}
        }
    }
    let status = reception.answer().map(|answer| answer.status());
    (status == Some(200) && store.len() == 1 && arrived == Some((1, Verdict::Accepted))).then_some(())
}
