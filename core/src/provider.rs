//! What an adapter needs from a provider: requests to send, answers and callbacks to read. One object is one account: a provider,
//! its base URL, the kind of flow and a credential. Adding a provider is one more implementation and no change to a machine.

use crate::evidence::{Callback, Fault, Outcome, Verdict};
use crate::http::{Answer, Headers, Request};
use crate::lifecycle::{Event, Table};
use crate::rules::Rules;
use crate::secret::Secret;
use crate::time::Span;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// One account at one provider.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The provider's name in output and in keys: `shareid`, `shufti`.
    fn name(&self) -> &'static str;

    /// What the provider's contract says about tokens, cadence, limits and deadlines; where it is silent, our own caution.
    fn rules(&self) -> Rules;

    /// The provider's events: where each may come, and after which.
    fn lifecycle(&self) -> &'static Table;

    /// Fills in the request for a token. Returns `false` when this account needs none (HTTP Basic).
    fn token_request(&self, request: &mut Request) -> bool;

    /// Reads the answer to a token request. `unix_now` (seconds) serves only `Retry-After` dates where the answer has no `Date`.
    fn read_token(&self, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer;

    /// Fills in the request that asks for the present state of the verification `id`.
    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request);

    /// Reads the answer to a pull of the verification `id`.
    fn read_pull(&self, id: &str, answer: &Answer<'_>, unix_now: Option<u64>) -> PullAnswer;

    /// The largest callback body that is read, in bytes.
    fn callback_body_cap(&self) -> u64;

    /// Starts checking a callback from its header fields; the body follows chunk by chunk.
    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck>;

    /// Reads a complete callback body that was `checked`.
    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading;

    /// The same where no callback is evidence (R2, confirm by pull): what would be [`Callback::Signed`] is [`Callback::SignedHint`], and
    /// all else must be as [`Provider::read_callback`] says. A provider that signs saves the digest of the content here.
    fn read_hint(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        let reading = self.read_callback(body, checked);
        CallbackReading { callback: reading.callback.hint(), ..reading }
    }

    /// The provider's own words and reasons in a body that reports a verdict, for handing over.
    ///
    /// # Errors
    /// The body is not readable; says where and why.
    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable>;
}

/// A callback's signature or bearer while its body arrives.
pub trait CallbackCheck: Send {
    /// The next bytes of the body, as received.
    fn update(&mut self, chunk: &[u8]);

    /// The body is complete.
    fn finish(self: Box<Self>) -> Checked;
}

/// What checking a callback came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Whether anybody vouches for the bytes.
    pub authenticity: Authenticity,
    /// SHA-256 of the raw body.
    pub digest: [u8; 32],
    /// What is worth a line in the log, without personal data: which rule and which secret matched, that two headers differed, ….
    pub remark: Option<String>,
}

/// Whether anybody vouches for a callback.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Authenticity {
    /// The provider's signature over these bytes verified.
    Signed,
    /// The provider does not sign, and what else was required (an agreed bearer) was there.
    Unsigned,
    /// A signature, or an agreed bearer, was required and is wrong.
    Wrong,
    /// A signature, or an agreed bearer, was required and is missing.
    Missing,
}

/// The answer to a token request.
#[derive(Debug)]
pub enum TokenAnswer {
    /// A token.
    Received {
        /// The token itself; it stays in the adapter.
        token: Secret,
        /// How long it lives, where the answer says so.
        ttl: Option<Span>,
    },
    /// The credentials were refused.
    Refused {
        /// What the answer says, for the log; without secrets and personal data.
        diagnosis: Option<String>,
    },
    /// No usable answer.
    Failed {
        /// What went wrong.
        fault: Fault,
        /// What went wrong, in words for the log; without secrets and personal data.
        diagnosis: Option<String>,
    },
}

/// The answer to a pull.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullAnswer {
    /// What it means to the session.
    pub outcome: Outcome,
    /// Another id of the same verification that the answer names (ShareID: `applicant_id` where the session was opened by `flow_id`).
    pub alias: Option<String>,
    /// The event that the answer states, a row of [`Provider::lifecycle`]; `None` where it states none, or none that is documented.
    pub event: Option<Event>,
    /// A 2xx answer of a provider that signs carried no signature (R16).
    pub unsigned_answer: bool,
    /// What went wrong, for the log; without secrets and personal data.
    pub diagnosis: Option<String>,
}

/// What a callback body says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackReading {
    /// The verification it names, as the provider spells it.
    pub id: Option<String>,
    /// The member of the body that `id` stood in: it says which kind of verification is named (ShareID: `flow_id`, `applicant_id`).
    pub id_member: Option<&'static str>,
    /// A second id of the same verification.
    pub alias: Option<String>,
    /// The provider's own event word.
    pub event: Option<String>,
    /// The event that it states, a row of [`Provider::lifecycle`]; `None` where it states none, or none that is documented.
    pub stated: Option<Event>,
    /// How it departs from the provider's documents (R19): worth a line in the log, never a reason to refuse it.
    pub deviation: Option<&'static str>,
    /// What it means to the session.
    pub callback: Callback,
    /// The verdict that it states, whoever vouches for it.
    pub claims: Option<Verdict>,
    /// Why it could not be read; then `id` and `event` hold what could be.
    pub unreadable: Option<Unreadable>,
}

/// The provider's words behind a verdict, provider-independent in shape and verbatim in content (R18).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Statement {
    /// The normalised verdict.
    pub verdict: Option<Verdict>,
    /// The provider's own event word, where it has one.
    pub event: Option<String>,
    /// The provider's reasons.
    pub reasons: Vec<Reason>,
}

/// One reason, as the provider gave it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reason {
    /// The provider's code, verbatim; empty where it gave words and no code.
    pub code: String,
    /// The provider's words, where it gave any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The service the reason belongs to (`document`, `face`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Whether it speaks of an outage or a cancellation, not of the person.
    pub technical: bool,
}

/// Why a body could not be read. Names places and expectations, never contents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Line, from 1; 0 when the fault has no place.
    pub line: usize,
    /// Column in bytes, from 1; 0 when the fault has no place.
    pub column: usize,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.problem)
        } else {
            write!(f, "{} at line {}, column {}", self.problem, self.line, self.column)
        }
    }
}

impl core::error::Error for Unreadable {}
