//! What the core must do here.

use alloc::string::String;
use idv_core::backoff::Backoff;
use idv_core::http::{Headers, Request};
use idv_core::machine::Next;
use idv_core::secret::Secret;
use idv_core::time::{Instant, Span};

/// Runs every check.
///
/// # Errors
/// The number of the first check that did not hold.
pub(crate) fn run() -> Result<(), u8> {
    time().then_some(()).ok_or(1)?;
    backoff().then_some(()).ok_or(2)?;
    http().then_some(()).ok_or(3)?;
    secrets().then_some(()).ok_or(4)?;
    Ok(())
}

fn time() -> bool {
    let start = Instant::from_millis(1_000);
    let later = start.after(Span::secs(5));
    later.since(start) == 5_000 && Next::Input.sooner(Next::At(later)) == Next::At(later)
}

fn backoff() -> bool {
    let backoff = Backoff { first: Span::secs(1), most: Span::mins(1), jitter_percent: 20 };
    backoff.delay(1, 0) == Span::secs(1) && backoff.delay(9, u32::MAX) == backoff.longest()
}

fn http() -> bool {
    let mut request = Request::new();
    request.method = "POST";
    request.body.extend_from_slice(br#"{"reference":"kyc-1"}"#);
    let headers = Headers(&[("Signature", b"a"), ("signature", b"b")]);
    request.body.len() == 21 && headers.all("SIGNATURE").count() == 2
}

fn secrets() -> bool {
    let secret = Secret::new(String::from("secret"));
    secret == Secret::from("secret") && secret != Secret::from("Secret")
}
