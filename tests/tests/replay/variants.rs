//! What a trace may say: every variant of every enum in it. Golden traces say all of it, and so do random ones.

use idv_core::evidence::{Callback, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::trace::{Entry, Input, Output};
use idv_core::fleet::{Action, OpenError, Routed, Wake};
use idv_core::machine::Disposition;
use idv_core::poller::Class;
use idv_core::session::{End, EvidencePolicy};
use idv_core::token::Mode;
use std::collections::BTreeSet;

/// Something that is one of several.
trait Variant {
    fn name(&self) -> &'static str;
}

/// A variant that is new does not compile before it stands here; and what stands here must occur.
macro_rules! variants {
    ($($of:ident: $($variant:ident)+;)+) => {
        /// All of them.
        const ALL: &[&str] = &[$($(concat!(stringify!($of), "::", stringify!($variant)),)+)+];

        $(impl Variant for variants!(@type $of) {
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => concat!(stringify!($of), "::", stringify!($variant)),)+
                }
            }
        })+
    };
    (@type Input) => { Input<'_> };
    (@type $of:ident) => { $of };
}

variants! {
    Input: AddDoor AddAccount Open Restore Replace Pulled Heed TokenReceived TokenFailed TokenRefused CredentialsReplaced Callback
        HandedOver DeadLettered Hint Cancel ListeningHadAGap Take LearnAlias Hold Release Forget Run;
    Output: Nothing Door Account Opened NotOpened Disposition Routed Taken NotTaken Wake;
    Action: Save RequestToken Pull Keep HandOver Ended CredentialsRefused Crowded;
    Outcome: Report NotReady Refused Failed;
    NotReady: Documented NotFound Invalid;
    FaultKind: Unreachable Tls TimedOut RateLimited ServerError Redirect UnexpectedStatus Truncated Malformed BadSignature;
    Callback: Signed SignedHint SignedSignal Unsigned WrongSignature;
    Verdict: Accepted Declined Cancelled TimedOut ReviewPending Deleted;
    End: Expired Refused Deleted Cancelled Watched;
    Class: Confirming Routine Audit;
    Mode: NotNeeded Reusable SingleUse;
    EvidencePolicy: ConfirmByPull TrustSigned;
    Disposition: Applied NoOp Stale Illegal;
    OpenError: Full EmptyId Exists NoAccount;
    Routed: Known Unknown Dropped;
    Wake: At Input More;
}

/// What was said so far.
#[derive(Default)]
pub(crate) struct Said(BTreeSet<&'static str>);

impl Said {
    pub(crate) fn note(&mut self, entry: &Entry<'_>) {
        self.one(&entry.input);
        match &entry.input {
            Input::AddAccount { token, session, .. } => {
                self.one(&token.mode());
                self.one(&session.evidence);
            }
            Input::Open { created: Some(report), .. } => self.report(report),
            Input::Pulled { outcome, .. } | Input::Heed { outcome, .. } => self.outcome(outcome),
            Input::TokenFailed { fault, .. } => self.one(&fault.kind),
            Input::Callback { callback, .. } => {
                self.one(callback);
                if let Callback::Signed(report) = callback {
                    self.report(report);
                }
            }
            Input::Hint { class, .. } => self.one(class),
            Input::AddDoor { .. }
            | Input::Open { created: None, .. }
            | Input::Restore { .. }
            | Input::Replace { .. }
            | Input::TokenReceived { .. }
            | Input::TokenRefused { .. }
            | Input::CredentialsReplaced { .. }
            | Input::HandedOver { .. }
            | Input::DeadLettered { .. }
            | Input::Cancel { .. }
            | Input::ListeningHadAGap
            | Input::Take { .. }
            | Input::LearnAlias { .. }
            | Input::Hold { .. }
            | Input::Release { .. }
            | Input::Forget { .. }
            | Input::Run { .. } => {}
        }
        self.one(&entry.output);
        match &entry.output {
            Output::NotOpened(error) => self.one(error),
            Output::Disposition(disposition) => self.one(disposition),
            Output::Routed(routed) => self.one(routed),
            Output::NotTaken(wake) | Output::Wake(wake) => self.one(wake),
            Output::Nothing | Output::Door(_) | Output::Account(_) | Output::Opened(_) | Output::Taken => {}
        }
        for action in &entry.actions {
            self.one(action);
            if let Action::Ended { end, .. } = action {
                self.one(end);
            }
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.one(outcome);
        match outcome {
            Outcome::Report(report) => self.report(report),
            Outcome::NotReady(reason) => self.one(reason),
            Outcome::Failed(fault) => self.one(&fault.kind),
            Outcome::Refused => {}
        }
    }

    fn report(&mut self, report: &Report) {
        if let Some(verdict) = &report.verdict {
            self.one(verdict);
        }
    }

    fn one(&mut self, variant: &impl Variant) {
        self.0.insert(variant.name());
    }

    pub(crate) fn and(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What was never said.
    pub(crate) fn lacks(&self) -> Vec<&'static str> {
        ALL.iter().copied().filter(|name| !self.0.contains(name)).collect()
    }
}
