//! The state of both providers and everything that changes it, with time as an argument. No socket and no clock in here: answers are
//! returned, callbacks to be posted are put into `jobs`.

mod deliveries;
#[cfg(test)]
mod tests;

pub(crate) use deliveries::Job;

use crate::bodies;
use crate::config::{Config, Limit};
use crate::faults::mix;
use crate::log::{Entry, Log, Statistics, What};
use crate::scenario::{AnswerFault, Provider, Scenario, Step, meaning};
use deliveries::{Outgoing, Prepared};
use idv_core::budget::Window;
use idv_core::delivery;
use idv_core::lifecycle::{Channel, Meaning};
use idv_core::time::{Instant, Span};
use idv_core::token::{Issued, Standing};
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

/// Which product a verification is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Product {
    /// ShareID: a first check of person and document, known by its applicant id.
    Onboarding,
    /// ShareID: a person who was onboarded comes again; known by its flow id.
    Authenticate,
    /// Shufti Pro: known by its reference.
    Shufti,
}

impl Product {
    /// Whose product it is.
    #[must_use]
    pub const fn provider(self) -> Provider {
        match self {
            Self::Onboarding | Self::Authenticate => Provider::Shareid,
            Self::Shufti => Provider::Shufti,
        }
    }
}

/// One verification at a provider.
pub(crate) struct Verification {
    pub(crate) product: Product,
    pub(crate) id: String,
    /// The applicant whose authentication it is.
    pub(crate) applicant: Option<String>,
    pub(crate) callback: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) customer_data: Option<Value>,
    pub(crate) images: bool,
    pub(crate) scenario: Arc<Scenario>,
    /// What the provider holds to be the case.
    pub(crate) truth: Option<Statement>,
    pub(crate) pulls: u64,
    pub(crate) last_pull: Option<Instant>,
    pub(crate) not_ready: u32,
    callbacks: u64,
    /// A callback that waits for the next one to overtake it.
    held: Option<Box<Prepared>>,
}

impl Verification {
    /// What the scenario lets go wrong with the answer to the next pull.
    pub(crate) fn scripted_fault(&self) -> Option<AnswerFault> {
        let pull = usize::try_from(self.pulls).ok()?;
        self.scenario.pull_faults.get(pull).copied().flatten()
    }
}

/// An event with what its body says.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) event: String,
    pub(crate) codes: Vec<String>,
    pub(crate) fields: Map<String, Value>,
}

/// What is asked of a new verification.
#[derive(Default)]
pub(crate) struct Opening {
    pub(crate) applicant: Option<String>,
    pub(crate) callback: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) customer_data: Option<Value>,
    pub(crate) images: bool,
    /// The person's part came with the request: Shufti's offsite verification.
    pub(crate) offsite: Option<Offsite>,
    /// After how long an unfinished Shufti request times out; the documented 60 minutes where nothing is said.
    pub(crate) ttl: Option<Duration>,
}

/// What the reply to an offsite request says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offsite {
    /// The verdict.
    Verdict,
    /// That it was received; the verdict comes by callback.
    Received,
}

enum Timer {
    Happen { verification: usize, step: usize },
    TimeOut { verification: usize },
    Send(Box<Prepared>),
    Release { verification: usize, ordinal: u64 },
    Delivery(u64),
}

/// A timer in the heap: the soonest first, of equals the one set first.
struct Due {
    at: Instant,
    order: u64,
    timer: Timer,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// See the module.
pub(crate) struct World {
    pub(crate) config: Arc<Config>,
    /// Where ShareID and Shufti can be reached; Shufti's URLs point to itself.
    pub(crate) shufti_base: String,
    scenarios: BTreeMap<(Provider, String), Arc<Scenario>>,
    pub(crate) verifications: Vec<Verification>,
    ids: BTreeMap<(Provider, String), usize>,
    /// By its text: what a token is for, and what it is still worth.
    tokens: BTreeMap<String, (Product, Issued)>,
    timers: BinaryHeap<Reverse<Due>>,
    orders: u64,
    deliveries: BTreeMap<u64, Outgoing>,
    last_delivery: u64,
    pub(crate) jobs: Vec<Job>,
    windows: BTreeMap<Provider, Window>,
    /// How many answers of each kind a random fault could have struck.
    answers: BTreeMap<String, u64>,
    pub(crate) statistics: Statistics,
    pub(crate) log: Log,
    nonce: u64,
    now: Instant,
}

impl World {
    pub(crate) fn new(
        config: Arc<Config>,
        shufti_base: String,
        scenarios: Vec<Scenario>,
        nonce: u64,
    ) -> Self {
        let scenarios = scenarios
            .into_iter()
            .map(|scenario| ((scenario.provider, scenario.name.clone()), Arc::new(scenario)))
            .collect();
        Self {
            config,
            shufti_base,
            scenarios,
            verifications: Vec::new(),
            ids: BTreeMap::new(),
            tokens: BTreeMap::new(),
            timers: BinaryHeap::new(),
            orders: 0,
            deliveries: BTreeMap::new(),
            last_delivery: 0,
            jobs: Vec::new(),
            windows: BTreeMap::new(),
            answers: BTreeMap::new(),
            statistics: Statistics::default(),
            log: Log::default(),
            nonce,
            now: Instant::EARLIEST,
        }
    }

    /// A duration of the provider's as it passes here.
    pub(crate) fn paced(&self, duration: Duration) -> Duration {
        duration / self.config.time_factor.get()
    }

    pub(crate) fn later(&self, duration: Duration) -> Instant {
        let millis = self.paced(duration).as_millis();
        Instant::from_millis(self.now.as_millis().saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Text that no other call gets: for ids and tokens.
    pub(crate) fn unique(&mut self) -> String {
        self.nonce = mix(self.nonce);
        format!("{:016x}{:016x}", self.nonce, mix(self.nonce ^ 1))
    }

    fn set(&mut self, at: Instant, timer: Timer) {
        self.orders += 1;
        self.timers.push(Reverse(Due { at, order: self.orders, timer }));
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse(due)| due.at)
    }

    /// Lets everything happen that is due by now.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while self.next().is_some_and(|at| at <= self.now) {
            let Some(Reverse(due)) = self.timers.pop() else { return };
            match due.timer {
                Timer::Happen { verification, step } => {
                    let step = self
                        .verifications
                        .get(verification)
                        .and_then(|verification| verification.scenario.timeline.get(step))
                        .cloned();
                    if let Some(step) = step {
                        self.happen(verification, &step);
                    }
                }
                Timer::TimeOut { verification } => {
                    let pending = self
                        .verifications
                        .get(verification)
                        .and_then(|verification| verification.truth.as_ref())
                        .is_some_and(|truth| truth.event == "request.pending");
                    if pending {
                        self.happen(verification, &Step::new(Duration::ZERO, "request.timeout"));
                    }
                }
                Timer::Send(prepared) => self.send(&prepared),
                Timer::Release { verification, ordinal } => self.release_up_to(verification, ordinal),
                Timer::Delivery(number) => self.step(number, delivery::Input::Tick),
            }
        }
    }

    pub(crate) fn scenario(&self, provider: Provider, name: &str) -> Option<Arc<Scenario>> {
        self.scenarios.get(&(provider, name.to_owned())).cloned()
    }

    /// The scenario of a verification that chooses none.
    pub(crate) fn default_scenario(&self, provider: Provider) -> Option<Arc<Scenario>> {
        self.scenario(provider, &self.config.default_scenario)
    }

    /// The scenario that an id asks for: the longest name that it begins with, before a hyphen or its end.
    pub(crate) fn scenario_in(&self, provider: Provider, id: &str) -> Option<Arc<Scenario>> {
        let named = self.scenarios.iter().filter(|((of, name), _)| {
            *of == provider
                && id.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        named.max_by_key(|((_, name), _)| name.len()).map(|(_, scenario)| Arc::clone(scenario))
    }

    pub(crate) fn find(&self, provider: Provider, id: &str) -> Option<usize> {
        self.ids.get(&(provider, id.to_owned())).copied()
    }

    /// Opens a verification and lets its timeline begin.
    pub(crate) fn open(
        &mut self,
        product: Product,
        id: &str,
        scenario: Arc<Scenario>,
        opening: Opening,
    ) -> usize {
        let index = self.verifications.len();
        let provider = product.provider();
        self.ids.insert((provider, id.to_owned()), index);
        self.statistics.of_mut(provider).created += 1;
        self.verifications.push(Verification {
            product,
            id: id.to_owned(),
            applicant: opening.applicant,
            callback: opening.callback,
            email: opening.email,
            country: opening.country,
            customer_data: opening.customer_data,
            images: opening.images,
            not_ready: scenario.not_ready,
            scenario: Arc::clone(&scenario),
            truth: None,
            pulls: 0,
            last_pull: None,
            callbacks: 0,
            held: None,
        });
        let timeline = scenario.timeline.as_slice();
        let mut begun = None;
        match opening.offsite {
            Some(Offsite::Verdict) => {
                let verdict =
                    |step: &Step| matches!(meaning(provider, &step.event), Some(Meaning::Verdict(_)));
                begun = timeline.iter().position(verdict);
                match begun.and_then(|first| timeline.get(first)) {
                    Some(first) => self.happen(index, first),
                    None => self.happen(index, &Step::new(Duration::ZERO, "request.received")),
                }
            }
            Some(Offsite::Received) => self.happen(index, &Step::new(Duration::ZERO, "request.received")),
            None => {
                if let Some(event) = scenario.first_event() {
                    self.happen(index, &Step::new(Duration::ZERO, event));
                }
            }
        }
        let done = begun.map_or(0, |first| first + 1);
        for (number, step) in timeline.iter().enumerate().skip(done) {
            let at = self.later(step.at);
            self.set(at, Timer::Happen { verification: index, step: number });
        }
        if product == Product::Shufti {
            let ttl = opening.ttl.unwrap_or(idv_core::shufti::contract::REQUEST_TTL.as_duration());
            self.set(self.later(ttl), Timer::TimeOut { verification: index });
        }
        // What happens at once is part of the reply.
        self.advance(self.now);
        index
    }

    /// Lets an event happen now.
    pub(crate) fn happen(&mut self, index: usize, step: &Step) {
        let Some(verification) = self.verifications.get_mut(index) else { return };
        let provider = verification.product.provider();
        let before = verification.truth.as_ref().and_then(|truth| meaning(provider, &truth.event));
        let deleted = Some(Meaning::Verdict(idv_core::evidence::Verdict::Deleted));
        if before == deleted && !verification.scenario.undocumented {
            return;
        }
        let statement =
            Statement { event: step.event.clone(), codes: step.codes.clone(), fields: step.fields.clone() };
        let means = meaning(provider, &step.event);
        if means.is_none_or(Meaning::states) {
            verification.truth = Some(statement.clone());
        }
        let id = verification.id.clone();
        self.note(provider, What::Happened { id, event: step.event.clone() });
        // Only a verdict that replaces another is announced by the bare signal.
        let settled = |meaning| matches!(meaning, Some(Meaning::Verdict(verdict)) if verdict.settles());
        let announced =
            if provider == Provider::Shufti && settled(before) && settled(means) && means != deleted {
                "verification.status.changed"
            } else {
                step.event.as_str()
            };
        for callback in &step.callbacks {
            self.prepare(index, &statement, announced, callback);
        }
    }

    /// The body by which an event is told of on a channel.
    pub(crate) fn body(
        &self,
        verification: &Verification,
        statement: &Statement,
        channel: Channel,
    ) -> Vec<u8> {
        let Statement { event, codes, fields } = statement;
        match verification.product {
            Product::Shufti => {
                let request = bodies::Request {
                    reference: &verification.id,
                    email: verification.email.as_deref(),
                    country: verification.country.as_deref(),
                    base: &self.shufti_base,
                };
                bodies::shufti(request, event, codes, fields, channel)
            }
            Product::Onboarding | Product::Authenticate => {
                let applicant = bodies::Applicant {
                    applicant_id: verification.applicant.as_deref().unwrap_or(&verification.id),
                    flow_id: (verification.product == Product::Authenticate)
                        .then_some(verification.id.as_str()),
                    customer_data: verification.customer_data.as_ref(),
                    images: verification.images,
                };
                bodies::shareid(applicant, event, codes, fields, channel)
            }
        }
    }

    pub(crate) fn note(&mut self, provider: Provider, what: What) {
        self.log.push(Entry { at_ms: self.now.as_millis(), provider, what });
    }

    /// Counts a call. Over the limit: how long until the next would be allowed.
    pub(crate) fn admit(&mut self, provider: Provider) -> Result<(), Duration> {
        self.statistics.of_mut(provider).calls += 1;
        let limit = match provider {
            Provider::Shareid => self.config.shareid_limit,
            Provider::Shufti => self.config.shufti_limit,
        };
        let Some(Limit { calls, window }) = limit else { return Ok(()) };
        let window = Span::saturating_from(self.paced(window));
        let admitted = self.windows.entry(provider).or_default().admit(calls, window, self.now);
        admitted.map_err(|wait| {
            self.statistics.of_mut(provider).limited += 1;
            wait.as_duration()
        })
    }

    /// Whether the next pull of this verification breaks off before it is taken in. Such a pull is over by this.
    pub(crate) fn breaks_off(&mut self, provider: Provider, id: &str) -> bool {
        let Some(index) = self.find(provider, id) else { return false };
        let Some(verification) = self.verifications.get_mut(index) else { return false };
        let breaks_off = verification.scripted_fault() == Some(AnswerFault::Unread);
        verification.pulls += u64::from(breaks_off);
        breaks_off
    }

    /// The random fault, if any, that strikes the next answer of this kind.
    pub(crate) fn random_fault(&mut self, kind: &str) -> Option<AnswerFault> {
        if self.config.faults.answer_percent == 0 {
            return None;
        }
        let count = self.answers.entry(kind.to_owned()).or_default();
        *count += 1;
        self.config.faults.answer(kind, *count)
    }

    /// Issues a token by the rules of the product's provider.
    pub(crate) fn issue(&mut self, product: Product) -> String {
        let now = self.now;
        self.tokens.retain(|_, (_, token)| token.standing(now) != Standing::Expired);
        let provider = product.provider();
        self.statistics.of_mut(provider).tokens += 1;
        let number = self.statistics.of_mut(provider).tokens;
        let (ttl, issue): (_, fn(Instant, Span) -> Issued) = match provider {
            Provider::Shareid => (self.config.shareid_token_ttl, Issued::reusable),
            Provider::Shufti => (self.config.shufti_token_ttl, Issued::single_use),
        };
        let mut token = issue(now, Span::saturating_from(self.paced(ttl)));
        if let Some(percent) = self.config.faults.token(provider.as_str(), number) {
            token.revoke(self.later(ttl * percent / 100));
        }
        let text = self.unique();
        self.tokens.insert(text.clone(), (product, token));
        text
    }

    /// A call for this product carries this token. What is wrong with it stands in the log; the provider itself does not say.
    pub(crate) fn present(&mut self, token: &str, product: Product) -> Result<(), &'static str> {
        let known = self.tokens.get_mut(token).filter(|(of, _)| *of == product);
        let Some((_, token)) = known else { return Err("unknown token") };
        match token.present(self.now) {
            Standing::Valid => Ok(()),
            Standing::Expired => Err("expired token"),
            Standing::Used => Err("used token"),
            Standing::Revoked => Err("revoked token"),
        }
    }

    /// Ends every token that was issued so far.
    pub(crate) fn revoke_tokens(&mut self) {
        for (_, token) in self.tokens.values_mut() {
            token.revoke(self.now);
        }
    }
}
