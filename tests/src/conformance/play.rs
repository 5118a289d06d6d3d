//! Plays a story, step by step, and writes down what it saw.

use super::documents::Documents;
use super::observed::{Asked, Observed, Offer, Reply, Seen};
use super::scenario::{Answer, Asks, BadConnection, Callback, Fault, Revision, Scenario, Step, Store, Then};
use super::sender::Sender;
use crate::driving::FaultyStore;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a story waits for what must come; never waited in full unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much a clock that counts whole milliseconds may be ahead of another.
const ROUNDING_MS: u64 = 2;

/// Where a story is played: sockets and threads, or the bare core in virtual time.
pub trait Stage {
    /// What is seen.
    fn observed(&self) -> &Observed;
    /// The time since the run began, in milliseconds.
    fn now(&self) -> u64;
    /// The calendar, in milliseconds since 1970.
    fn unix_ms(&self) -> u64;
    /// Starts a process on what the store holds.
    ///
    /// # Errors
    /// Says why it cannot.
    fn start(&mut self) -> Result<(), String>;
    /// The process dies.
    fn crash(&mut self);
    /// Opens a verification.
    ///
    /// # Errors
    /// Says why it cannot.
    fn open(&mut self, id: &str) -> Result<(), String>;
    /// Cancels a verification.
    ///
    /// # Errors
    /// Says why it cannot.
    fn cancel(&mut self, id: &str) -> Result<(), String>;
    /// The next connection meets this.
    fn spoil(&mut self, bad: BadConnection);
    /// Posts a callback; its answer will be seen.
    ///
    /// # Errors
    /// Says why it cannot.
    fn post(&mut self, post: Post) -> Result<(), String>;
    /// The store.
    fn store(&self) -> &FaultyStore;
    /// Lets so much time pass, or less if something is seen that no step accounted for. Says whether it can: where time is the computer's
    /// nobody waits for hours.
    fn let_pass(&mut self, span: Duration) -> bool;
    /// Lets time pass until something wanted is seen, for so long at most.
    fn wait(&mut self, patience: Duration, wanted: &mut dyn FnMut(&mut Seen) -> bool) -> bool;
}

/// A callback on its way.
#[derive(Clone, Debug)]
pub struct Post {
    /// The header fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// It stops in the middle of its body.
    pub stops: bool,
    /// The sender does not wait for the answer.
    pub hangs_up: bool,
}

/// Plays the story of a scenario.
///
/// # Errors
/// Something else happened than the story tells; says at which step, and shows the transcript so far.
pub fn play(scenario: &Scenario, stage: &mut dyn Stage) -> Result<Vec<String>, String> {
    let documents = Documents::of(&scenario.account)?;
    let mut player = Player {
        documents,
        sender: Sender::new(scenario.account.provider),
        stage,
        transcript: Vec::new(),
        held: None,
        held_offer: None,
        last_answer: None,
        last_pull: BTreeMap::new(),
        repeats: false,
    };
    player.stage.start()?;
    for (index, step) in scenario.story.iter().enumerate() {
        if let Err(problem) = player.step(step) {
            let left = player.stage.observed().seen().leftovers();
            return Err(format!(
                "step {}, {step:?}: {problem}\nuntil then:\n  {}\nunaccounted for: {left:#?}",
                index + 1,
                player.transcript.join("\n  ")
            ));
        }
    }
    let left = player.stage.observed().seen().leftovers();
    player.stage.crash();
    if left.is_empty() {
        Ok(player.transcript)
    } else {
        Err(format!("after the story: {left:#?}\nuntil then:\n  {}", player.transcript.join("\n  ")))
    }
}

struct Player<'a> {
    documents: Documents,
    sender: Sender,
    stage: &'a mut dyn Stage,
    transcript: Vec<String>,
    /// The request that the provider has not answered yet.
    held: Option<(Asks, Asked)>,
    /// The revision that the application is still at.
    held_offer: Option<Offer>,
    /// When the provider began to answer last.
    last_answer: Option<u64>,
    /// The same, by verification.
    last_pull: BTreeMap<String, u64>,
    /// A request is being repeated.
    repeats: bool,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open { id } => {
                self.say(format!("open {id}"));
                self.stage.open(id)
            }
            Step::Cancel { id } => {
                self.say(format!("cancel {id}"));
                self.stage.cancel(id)
            }
            Step::Request { asks, with, answer, again, not_before } => {
                self.request(asks, with.as_deref(), not_before.map(idv_core::time::Span::as_millis))?;
                if let Some(answer) = answer {
                    self.answer(answer)?;
                    if *again {
                        self.say("and perhaps again".to_owned());
                        self.repeats = true;
                        self.again(asks, with.as_deref(), answer)?;
                        self.repeats = false;
                    }
                }
                Ok(())
            }
            Step::Answer(answer) => self.answer(answer),
            Step::Connection(bad) => {
                self.stage.spoil(*bad);
                Ok(())
            }
            Step::Pulled { means } => self.pulled(None, means),
            Step::Callback(callback) => self.callback(callback),
            Step::Store(store) => {
                self.say(format!("the store {store:?}").to_lowercase());
                self.stage.store().fail_commits(*store == Store::Fails);
                self.stage.store().stall_commits(*store == Store::Stalls);
                Ok(())
            }
            Step::Revision(revision) => self.revision(revision),
            Step::Take => {
                let offer = self.held_offer.take().ok_or("the application holds no revision")?;
                self.take(offer)
            }
            Step::Dead { revision } => {
                let dead = self.next(|seen| seen.dead.pop_front(), "a revision that is given up")?;
                self.say(format!("dead {dead}"));
                same("the revision that is given up", &dead, revision)
            }
            Step::Ended { end, unconfirmed } => {
                let (ended, hint) = self.next(|seen| seen.ended.pop_front(), "an end")?;
                self.say(format!("ended {ended}{}", if hint { ", unconfirmed" } else { "" }));
                same("the end", &ended, end)?;
                same("whether a hint is left unconfirmed", &hint, unconfirmed)
            }
            Step::CredentialsRefused => {
                let told = |seen: &mut Seen| {
                    seen.credentials_refused = seen.credentials_refused.checked_sub(1)?;
                    Some(())
                };
                self.next(told, "that the credentials are refused")?;
                self.say("the credentials are refused".to_owned());
                Ok(())
            }
            Step::Crash => {
                self.say("the process dies".to_owned());
                (self.held, self.held_offer) = (None, None);
                self.stage.crash();
                Ok(())
            }
            Step::Restart => {
                self.say("another process starts".to_owned());
                self.stage.start()
            }
            Step::Quiet(span) => {
                self.stage.wait(span.as_duration(), &mut |seen| !seen.leftovers().is_empty());
                let left = self.stage.observed().seen().leftovers();
                if left.is_empty() { Ok(()) } else { Err("something happened".to_owned()) }
            }
        }
    }

    fn say(&mut self, line: String) {
        // How often a request is repeated depends on the time that everything takes.
        if !self.repeats {
            self.transcript.push(line);
        }
    }

    /// The next thing of a kind, and the certainty that nothing of another kind came where it matters.
    fn next<T>(&mut self, mut take: impl FnMut(&mut Seen) -> Option<T>, what: &str) -> Result<T, String> {
        let mut taken = None;
        self.stage.wait(PATIENCE, &mut |seen| {
            taken = take(seen);
            taken.is_some()
        });
        taken.ok_or_else(|| format!("waited in vain for {what}"))
    }

    fn request(&mut self, asks: &Asks, with: Option<&str>, not_before: Option<u32>) -> Result<(), String> {
        if self.held.is_some() {
            return Err("the story holds a request: answer it first".to_owned());
        }
        let asked = self.next(|seen| seen.requests.pop_front(), "a request")?;
        self.check(asks, with, &asked)?;
        if let (Some(least), Some(last)) = (not_before, self.last_answer) {
            let waited = asked.at.saturating_sub(last) + ROUNDING_MS;
            if waited < u64::from(least) {
                return Err(format!("it came {waited} ms after the last answer, not {least} ms"));
            }
        }
        if let Asks::Pull(id) = asks {
            let cadence = u64::from(self.documents.cadence().as_millis());
            let waited = self.last_pull.get(id).map(|last| asked.at.saturating_sub(*last) + ROUNDING_MS);
            if let Some(waited) = waited.filter(|waited| *waited < cadence) {
                return Err(format!("two pulls within {waited} ms: the cadence is {cadence} ms (G7)"));
            }
        }
        self.held = Some((asks.clone(), asked));
        Ok(())
    }

    fn check(&mut self, asks: &Asks, with: Option<&str>, asked: &Asked) -> Result<(), String> {
        let field = |name: &str| asked.fields.iter().find(|(other, _)| other == name);
        let value = |name: &str| field(name).map(|(_, value)| value.clone());
        let line = format!(
            "request {} {} {} {}",
            asked.method,
            asked.path,
            value("authorization").unwrap_or_default(),
            asked.body
        );
        self.say(line);
        let expected = self.documents.request(asks, with);
        same("the method", &asked.method.as_str(), &"POST")?;
        same("the path", &asked.path.as_str(), &expected.path)?;
        same("the credentials", &value("authorization"), &expected.authorization)?;
        same("the body", &asked.body, &expected.body)?;
        same("the media type", &value("content-type").as_deref(), &Some("application/json"))?;
        same("what may be encoded", &value("accept-encoding").as_deref(), &Some("identity"))
    }

    /// Has the provider answer the request that is held, and waits for what the adapter makes of it.
    fn answer(&mut self, answer: &Answer) -> Result<(), String> {
        let (asks, asked) = self.held.take().ok_or("no request is held")?;
        let message = self.documents.answer(&asks, answer, self.stage.unix_ms())?;
        self.last_answer = Some(self.stage.now());
        if let Asks::Pull(id) = &asks {
            self.last_pull.insert(id.clone(), self.stage.now());
        }
        let reply = Reply {
            status: answer.status,
            fields: message.fields,
            body: message.body,
            fault: answer.fault,
            sent: answer.sent,
        };
        let twice = |other: &Asked| (&asked.path, &asked.body) == (&other.path, &other.body);
        if self.stage.observed().seen().requests.iter().any(twice) {
            return Err("the same was asked again before it was answered (G7)".to_owned());
        }
        asked.reply.try_send(reply).map_err(|_| "nobody waits for the answer".to_owned())?;
        match asks {
            Asks::Pull(id) => {
                let means = match (&answer.means, &answer.says, answer.fault) {
                    (Some(means), _, _) => means.clone(),
                    (None, _, Some(fault)) => fault_means(fault).to_owned(),
                    (None, Some(word), None) => self.documents.means(word)?.to_owned(),
                    (None, None, None) => return Err("say what the answer `means`".to_owned()),
                };
                self.pulled(Some(&id), &means)
            }
            Asks::Token if answer.says.is_some() && answer.means.is_none() => Ok(()),
            Asks::Token => {
                let told = self.next(|seen| seen.no_token.pop_front(), "that there is no token")?;
                self.say(format!("no token: {told}"));
                same("why there is no token", &told.as_str(), &answer.means.as_deref().unwrap_or("failed"))
            }
        }
    }

    /// Answers the same request again and again, until something else happens.
    fn again(&mut self, asks: &Asks, with: Option<&str>, answer: &Answer) -> Result<(), String> {
        let expected = self.documents.request(asks, with);
        loop {
            let mut same_again = false;
            self.next(
                |seen| match seen.requests.front() {
                    Some(asked) => {
                        let authorization =
                            asked.fields.iter().find(|(name, _)| name == "authorization").map(|(_, v)| v);
                        same_again = asked.path == expected.path
                            && asked.body == expected.body
                            && authorization == expected.authorization.as_ref();
                        Some(())
                    }
                    None => (!seen.leftovers().is_empty()).then_some(()),
                },
                "an end of the repetition",
            )?;
            if !same_again {
                return Ok(());
            }
            self.request(asks, with, None)?;
            self.answer(answer)?;
        }
    }

    fn pulled(&mut self, id: Option<&str>, means: &str) -> Result<(), String> {
        let pulled = self.next(|seen| seen.pulled.pop_front(), "the end of a pull")?;
        self.say(format!("pulled {}: {} ({})", pulled.id, pulled.means, pulled.rest));
        if pulled.means != means {
            return Err(format!("the pull came to `{}`: {:?}", pulled.means, pulled.diagnosis));
        }
        same("the verification", &pulled.id.as_str(), &id.unwrap_or(&pulled.id))
    }

    fn callback(&mut self, callback: &Callback) -> Result<(), String> {
        let message = self.documents.callback(callback)?;
        if let Some(after) = callback.after {
            self.comes_again(callback, u64::from(after.as_millis()))?;
        }
        self.sender.post(callback, callback.after.is_some(), self.stage.now())?;
        self.say(format!("callback {} {}", callback.id, callback.says));
        let (stops, hangs_up) = (callback.stops, callback.hangs_up);
        self.stage.post(Post { fields: message.fields, body: message.body, stops, hangs_up })?;
        if let Some(status) = callback.answered {
            let posted = self.next(|seen| seen.posted.pop_front(), "the answer to a callback")?;
            self.say(format!("answered {} {}", posted.status, posted.rest));
            same("the answer to the callback", &posted.status, &status)?;
            self.sender.answered(callback, posted.status, self.stage.now());
        }
        Ok(())
    }

    /// Lets time pass until the provider posts a callback again, which must be so long after the answer to the attempt before.
    fn comes_again(&mut self, callback: &Callback, after: u64) -> Result<(), String> {
        let (left, waits) = self.sender.wait(callback, self.stage.now())?;
        same("the wait of the provider, in milliseconds,", &waits, &after)?;
        if !self.stage.let_pass(Duration::from_millis(left)) {
            self.sender.skip(left);
        }
        let seen = self.stage.observed().seen().leftovers();
        if seen.is_empty() {
            Ok(())
        } else {
            Err("something happened before the provider came again".to_owned())
        }
    }

    fn revision(&mut self, expected: &Revision) -> Result<(), String> {
        let offer = self.next(|seen| seen.offers.pop_front(), "a revision")?;
        let revision = &offer.revision;
        let is = format!("{} #{} {}", revision.id, revision.number, revision.verdict);
        let reasons = match &revision.statement {
            Ok(statement) => statement.reasons.iter().map(|reason| reason.code.clone()).collect(),
            Err(unreadable) => vec![unreadable.to_string()],
        };
        self.say(format!(
            "revision {is} {} data_changed={} unsigned_answer={} reasons={reasons:?} bytes={}",
            revision.evidence.as_str(),
            revision.data_changed,
            revision.unsigned_answer,
            revision.body.len()
        ));
        same("the revision", &is, &expected.is)?;
        same("its evidence", &revision.evidence.as_str(), &expected.evidence.as_str())?;
        same("whether only its data changed", &revision.data_changed, &expected.data_changed)?;
        same("whether its answer was unsigned", &revision.unsigned_answer, &expected.unsigned_answer)?;
        if let Some(callbacks) = &expected.callbacks {
            same("its callbacks", &revision.callbacks, callbacks)?;
        }
        match &expected.then {
            Then::Take => self.take(offer),
            Then::Hold => {
                self.held_offer = Some(offer);
                Ok(())
            }
            Then::Refuse(reason) => {
                offer.decide.try_send(Err(reason.clone())).map_err(|_| NOBODY_WAITS.to_owned())?;
                let refused = self.next(|seen| seen.refused.pop_front(), "that it was not taken")?;
                self.say(format!("not taken: {refused}"));
                if refused.ends_with(reason) { Ok(()) } else { Err("for another reason".to_owned()) }
            }
        }
    }

    /// Has the application take a revision, and waits until its word is saved.
    fn take(&mut self, offer: Offer) -> Result<(), String> {
        let is = format!("{} #{}", offer.revision.id, offer.revision.number);
        offer.decide.try_send(Ok(())).map_err(|_| NOBODY_WAITS.to_owned())?;
        let taken = self.next(|seen| seen.taken.pop_front(), "that the application's word is saved")?;
        self.say(format!("taken {taken}"));
        same("the revision that was taken", &taken, &is)
    }
}

const NOBODY_WAITS: &str = "nobody waits for the application's word";

/// What a failed transport means.
const fn fault_means(fault: Fault) -> &'static str {
    match fault {
        Fault::Reset | Fault::Close => "unreachable",
        Fault::Truncated | Fault::TruncatedChunks => "truncated",
        Fault::Drip | Fault::Silence => "timed_out",
        Fault::Garbage => "malformed",
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, expected: &T) -> Result<(), String> {
    if is == expected { Ok(()) } else { Err(format!("{what} is {is:?}, not {expected:?}")) }
}
