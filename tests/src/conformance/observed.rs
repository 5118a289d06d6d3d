//! What a run shows, as the provider, the store and the application see it; a story is compared with it step by step.

use super::documents::SECRETS;
use super::scenario::{Fault, Sent};
use idv_core::engine::{Event, Revision};
use idv_core::evidence::{NotReady, Outcome};
use smol::channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request, as the provider got it.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The header fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// When, in milliseconds since the run began.
    pub at: u64,
    /// Where the provider is told what to answer.
    pub reply: Sender<Reply>,
}

/// What the provider does with a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it fails.
    pub fault: Option<Fault>,
    /// How it is sent, where it does not fail.
    pub sent: Sent,
}

/// A revision that is offered to the application.
#[derive(Debug)]
pub struct Offer {
    /// The revision.
    pub revision: Revision,
    /// Where the application says whether it takes it. Dropped: the process died meanwhile.
    pub decide: Sender<Result<(), String>>,
}

/// What somebody who posted a callback was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posted {
    /// The status; 0 where the connection ended without an answer.
    pub status: u16,
    /// The field that goes with it, and the body.
    pub rest: String,
}

/// How a pull came out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulled {
    /// The verification.
    pub id: String,
    /// What it means.
    pub means: String,
    /// What stands in the transcript beside that.
    pub rest: String,
    /// What went wrong, in words.
    pub diagnosis: Option<String>,
}

/// Everything that was seen and that no step of the story has accounted for yet.
#[derive(Default, Debug)]
pub struct Seen {
    /// Requests that await their answers.
    pub requests: VecDeque<Asked>,
    /// Revisions that await the application's word.
    pub offers: VecDeque<Offer>,
    /// Pulls that came to something.
    pub pulled: VecDeque<Pulled>,
    /// Token requests that brought none: what they mean.
    pub no_token: VecDeque<String>,
    /// Ends: `order-1 expired`, and whether a hint was never confirmed.
    pub ended: VecDeque<(String, bool)>,
    /// Revisions that were given up: `order-1 #1`.
    pub dead: VecDeque<String>,
    /// Revisions whose taking is saved: `order-1 #1`.
    pub taken: VecDeque<String>,
    /// Revisions that were not taken: `order-1 #1 attempt 1: why`.
    pub refused: VecDeque<String>,
    /// Accounts whose credentials were refused for good.
    pub credentials_refused: u32,
    /// Callbacks that were answered.
    pub posted: VecDeque<Posted>,
    /// Events that showed a secret (G10).
    pub leaks: Vec<String>,
    /// Which process is running; what an earlier one still says is not heard.
    process: u32,
}

impl Seen {
    /// Drops everything that the process which just died has said.
    pub fn process_died(&mut self) {
        let leaks = std::mem::take(&mut self.leaks);
        *self = Self { process: self.process + 1, leaks, ..Self::default() };
    }

    /// What no step accounted for.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        left.extend(self.requests.iter().map(|asked| format!("request {} {}", asked.method, asked.path)));
        left.extend(self.offers.iter().map(|offer| format!("offered {:?}", offer.revision)));
        left.extend(self.pulled.iter().map(|pulled| format!("pulled {} {}", pulled.id, pulled.means)));
        left.extend(self.no_token.iter().map(|means| format!("no token: {means}")));
        left.extend(self.ended.iter().map(|(end, _)| format!("ended {end}")));
        left.extend(self.dead.iter().map(|dead| format!("dead {dead}")));
        left.extend(self.taken.iter().map(|taken| format!("taken {taken}")));
        left.extend(self.refused.iter().map(|refused| format!("refused {refused}")));
        left.extend((0..self.credentials_refused).map(|_| "credentials refused".to_owned()));
        left.extend(self.leaks.iter().map(|leak| format!("a secret was shown: {leak}")));
        left.extend(self.posted.iter().map(|posted| format!("a callback was answered {}", posted.status)));
        left
    }
}

/// Where everything that is seen comes together. Clones are the same place.
#[derive(Clone, Default, Debug)]
pub struct Observed(Arc<(Mutex<Seen>, Condvar)>);

impl Observed {
    /// What was seen and not accounted for.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something.
    pub fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen());
        self.0.1.notify_all();
    }

    /// Waits until something wanted is there, for so long at most.
    pub fn wait_for(&self, patience: Duration, wanted: &mut dyn FnMut(&mut Seen) -> bool) -> bool {
        let waited = self.0.1.wait_timeout_while(self.seen(), patience, |seen| !wanted(seen));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The application of the process that is to be started now.
    #[must_use]
    pub fn application(&self) -> Application {
        let process = self.seen().process;
        Application { observed: self.clone(), process }
    }
}

/// The application that a driver hands revisions over to and tells events. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Application {
    observed: Observed,
    process: u32,
}

impl Application {
    /// Offers it a revision. The answer says whether it takes it; without one the process has died.
    #[must_use]
    pub fn offer(&self, revision: &Revision) -> Receiver<Result<(), String>> {
        let (decide, answer) = bounded(1);
        self.note(|seen| seen.offers.push_back(Offer { revision: revision.clone(), decide }));
        answer
    }

    /// Tells it an event.
    pub fn tell(&self, event: &Event) {
        let shown = format!("{event:?}");
        if SECRETS.iter().any(|secret| shown.contains(secret)) {
            self.note(|seen| seen.leaks.push(shown));
        }
        match event {
            Event::Pulled { id, outcome, reached, unsigned_answer, diagnosis, .. } => {
                let unsigned = if *unsigned_answer { ", unsigned" } else { "" };
                // In what words a connection failed is up to the library that made it.
                let said = if *reached { diagnosis.as_deref().unwrap_or_default() } else { "no answer" };
                let pulled = Pulled {
                    id: id.to_string(),
                    means: means(outcome).to_owned(),
                    rest: format!("{said}{unsigned}"),
                    diagnosis: diagnosis.clone(),
                };
                self.note(|seen| seen.pulled.push_back(pulled));
            }
            Event::NoToken { refused, .. } => {
                let means = if *refused { "refused" } else { "failed" };
                self.note(|seen| seen.no_token.push_back(means.to_owned()));
            }
            Event::CredentialsRefused { .. } => self.note(|seen| seen.credentials_refused += 1),
            Event::Ended { id, end, unconfirmed, .. } => {
                let end = format!("{id} {}", format!("{end:?}").to_lowercase());
                self.note(|seen| seen.ended.push_back((end, *unconfirmed)));
            }
            Event::HandOverFailed { id, number, attempt, error, .. } => {
                let refused = format!("{id} #{number} attempt {attempt}: {error}");
                self.note(|seen| seen.refused.push_back(refused));
            }
            Event::HandedOver { id, number, .. } => {
                let taken = format!("{id} #{number}");
                self.note(|seen| seen.taken.push_back(taken));
            }
            Event::DeadLettered { id, number, .. } => {
                let dead = format!("{id} #{number}");
                self.note(|seen| seen.dead.push_back(dead));
            }
            // A callback is judged by its answer; the rest is told by what follows from it.
            Event::Crowded { .. }
            | Event::Callback(_)
            | Event::StoreFailed { .. }
            | Event::TakenOver { .. }
            | _ => {}
        }
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        self.observed.note(|seen| {
            if seen.process == self.process {
                note(seen);
            }
        });
    }
}

/// What an outcome is called in a story.
fn means(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Report(report) => report.verdict.map_or("nothing yet", idv_core::evidence::Verdict::as_str),
        Outcome::NotReady(NotReady::Documented) => "not ready",
        Outcome::NotReady(NotReady::NotFound) => "not found",
        Outcome::NotReady(NotReady::Invalid) => "invalid",
        Outcome::Refused => "refused",
        Outcome::Failed(fault) => fault.kind.as_str(),
    }
}
