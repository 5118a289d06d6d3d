//! What holds in a world: its times, and how much of what may happen.

use crate::world::Truth;
use idv_core::backoff::Backoff;
use idv_core::session::{EvidencePolicy, Policy};
use idv_core::time::Span;
use idv_core::{delivery, poller, receipt};

/// How much of what may still happen. Nothing else bounds a world but its deadlines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Changes of the provider's mind.
    pub changes: u8,
    /// Pulls that are permitted.
    pub pulls: u8,
    /// Callbacks that are replayed or forged.
    pub attacks: u8,
    /// Pulls that fail, commits that fail, answers to callbacks that are lost, hand-overs that are given up.
    pub failures: u8,
    /// Deaths of our process.
    pub crashes: u8,
    /// Mistakes of the host, and what it may decide by itself: cancelling, refused credentials, hints.
    pub mistakes: u8,
    /// How late the host may wake the session, in milliseconds.
    pub lateness: u8,
    /// How many answers the host tells twice.
    pub repetitions: u8,
}

impl Limits {
    /// Nothing but time and the truth at the beginning.
    pub const NONE: Self = Self {
        changes: 0,
        pulls: 0,
        attacks: 0,
        failures: 0,
        crashes: 0,
        mistakes: 0,
        lateness: 0,
        repetitions: 0,
    };
}

/// How the provider sends its callbacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Callbacks {
    /// Not at all.
    None,
    /// Signed, saying what the truth is.
    Signed,
    /// The same, and each is lost on its way, unless an attacker replays it.
    Lost,
    /// Signed, saying only that something changed.
    Signals,
    /// Unsigned.
    Unsigned,
}

/// One world.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The policies of evidence that are looked at, each from its own beginning.
    pub evidence: &'static [EvidencePolicy],
    /// The session's policy under either.
    pub(crate) confirm_by_pull: Policy,
    pub(crate) trust_signed: Policy,
    /// The provider's delivery of callbacks.
    pub delivery: delivery::Policy,
    /// Our answer to them.
    pub receipt: receipt::Policy,
    /// How they are sent.
    pub callbacks: Callbacks,
    /// What the provider's mind may change to.
    pub changes: fn(Truth) -> &'static [Truth],
    /// How far the replica that answers pulls may lag behind, in milliseconds.
    pub lag: u8,
    pub(crate) times: Times,
    /// How much may happen.
    pub limits: Limits,
    /// How many unanswered pulls the network keeps; an older one is lost.
    pub wire: usize,
    /// A bug of the host itself, to see whether it is caught.
    pub sabotage: Option<Sabotage>,
}

/// A bug of the model's host, where a real host would have one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Records that are not applied are not stepped after a restart (R10).
    RecordsForgotten,
    /// A record whose twin arrives stays applied (R4, R10).
    TwinsStayApplied,
    /// The session is saved after its actions are performed, not before (G9).
    SavesLate,
}

/// The times of a world, in milliseconds: all that matters is how they compare.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// See [`poller::Builder`].
    pub cadence: u32,
    /// See [`poller::Builder`].
    pub deadline: u32,
    /// See [`poller::Builder`].
    pub call_timeout: u32,
    /// See [`poller::Builder`].
    pub lateness: u32,
    /// See [`poller::Builder`].
    pub budget_wait: u32,
    /// The back-off's first and only wait.
    pub backoff: u32,
    /// See [`poller::Builder`].
    pub watch: Option<u32>,
    /// See [`poller::Builder`].
    pub audit: Option<u32>,
    /// The first further pull after a signal.
    pub recheck: Option<u32>,
}

impl Times {
    /// The shortest that the builder accepts, and still tell each limit from the others.
    pub const SHORT: Self = Self {
        cadence: 2,
        deadline: 4,
        call_timeout: 1,
        lateness: 1,
        budget_wait: 1,
        backoff: 2,
        watch: Some(6),
        audit: None,
        recheck: None,
    };

    fn policy(self, evidence: EvidencePolicy) -> Policy {
        let span = Span::millis;
        let poller = poller::Policy::builder(span(self.cadence), span(self.deadline))
            .call_timeout(span(self.call_timeout))
            .lateness(span(self.lateness))
            .budget_wait(span(self.budget_wait))
            .backoff(Backoff { first: span(self.backoff), most: span(self.backoff), jitter_percent: 0 })
            .watch(self.watch.map(span))
            .audit(self.audit.map(span))
            .rechecks([self.recheck.map(span), None, None, None])
            .build()
            .expect("times that the builder accepts");
        Policy { poller, evidence }
    }
}

/// Both policies of evidence.
pub const BOTH: &[EvidencePolicy] = &[EvidencePolicy::ConfirmByPull, EvidencePolicy::TrustSigned];

impl Rules {
    /// A world with these times and limits; signed callbacks, two attempts each.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str, times: Times, limits: Limits) -> Self {
        let schedule = delivery::Schedule::own(&[Span::millis(1)]).expect("one wait");
        Self {
            name,
            about,
            evidence: BOTH,
            times,
            confirm_by_pull: times.policy(EvidencePolicy::ConfirmByPull),
            trust_signed: times.policy(EvidencePolicy::TrustSigned),
            delivery: delivery::Policy {
                timeout: Span::millis(2),
                success: delivery::Success::Exactly200,
                schedule,
                jitter_percent: 0,
            },
            receipt: receipt::Policy::builder(64)
                .answer_within(Span::millis(1))
                .provider_waits(Span::millis(2))
                .build()
                .expect("an answer before the provider gives up"),
            callbacks: Callbacks::Signed,
            changes: flips,
            lag: 0,
            limits,
            wire: 2,
            sabotage: None,
        }
    }

    /// The same with a bug of the host.
    #[must_use]
    pub const fn with(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self
    }

    /// Whether a signal whose pull shows nothing new demands another one (R9).
    #[must_use]
    pub const fn rechecks(&self) -> bool {
        self.times.recheck.is_some()
    }

    /// The session's policy under this policy of evidence.
    #[must_use]
    pub const fn session(&self, evidence: EvidencePolicy) -> &Policy {
        match evidence {
            EvidencePolicy::ConfirmByPull => &self.confirm_by_pull,
            EvidencePolicy::TrustSigned => &self.trust_signed,
        }
    }
}

/// Accepted, declined, accepted, …
#[must_use]
pub const fn flips(truth: Truth) -> &'static [Truth] {
    match truth {
        Truth::Pending | Truth::Declined => &[Truth::Accepted],
        Truth::Accepted => &[Truth::Declined],
        Truth::Review | Truth::AcceptedAnew | Truth::Cancelled | Truth::TimedOut | Truth::Deleted => &[],
    }
}

/// Everything that the providers' documents know.
#[must_use]
pub const fn everything(truth: Truth) -> &'static [Truth] {
    match truth {
        Truth::Pending => {
            &[Truth::Accepted, Truth::Review, Truth::Cancelled, Truth::TimedOut, Truth::Deleted]
        }
        Truth::Review => &[Truth::Accepted, Truth::Declined],
        Truth::Accepted => &[Truth::AcceptedAnew, Truth::Declined, Truth::Deleted],
        Truth::AcceptedAnew => &[Truth::Accepted],
        Truth::Declined => &[Truth::Accepted, Truth::Deleted],
        Truth::Cancelled | Truth::TimedOut => &[Truth::Pending],
        Truth::Deleted => &[],
    }
}
