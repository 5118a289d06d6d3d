//! A driver, a provider that answers from a script, and a store that can be told to fail.

use crate::fake::Fake;
use crate::support::{Server, Stream, answer};
use idv_core::http::Headers;
use idv_core::store::{Commit, Journal, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge};
use idv_ureq::{Account, AccountRef, Builder, CallbackRequest, Driver, Event, Revision, SharedMemory};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const ACCEPTED: &str = "id=ab-1 verdict=accepted";
pub(crate) const DECLINED: &str = "id=ab-1 verdict=declined";

/// Answers pulls from a script for each id, the last line again and again; an empty line is 404.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Script {
    pub(crate) fn new(lines: &[(&str, &[&str])]) -> Self {
        let script = Self::default();
        for (id, lines) in lines {
            script.set(id, lines);
        }
        script
    }

    pub(crate) fn set(&self, id: &str, lines: &[&str]) {
        let lines = lines.iter().rev().map(|line| (*line).to_owned()).collect();
        self.0.lock().unwrap().insert(id.to_owned(), lines);
    }

    fn play(&self, request: &[u8], stream: &mut dyn Stream) -> bool {
        let text = String::from_utf8_lossy(request);
        let id = text.split("\r\n\r\n").nth(1).unwrap();
        let line = match self.0.lock().unwrap().get_mut(id) {
            Some(lines) if lines.len() > 1 => lines.pop().unwrap(),
            Some(lines) => lines.last().cloned().unwrap_or_default(),
            None => String::new(),
        };
        let status = if line.is_empty() { "404 Not Found" } else { "200 OK" };
        answer(stream, status, "", line.as_bytes());
        true
    }

    pub(crate) fn serve(&self) -> Server {
        let script = self.clone();
        Server::new(move |request, stream| script.play(request, stream))
    }
}

pub(crate) fn provider(server: &Server) -> Fake {
    Fake { base: server.url(""), tokens: false, signs: true }
}

/// A driver whose revisions and events come out of channels.
pub(crate) struct World {
    pub(crate) driver: Driver,
    pub(crate) account: AccountRef,
    pub(crate) revisions: Receiver<Revision>,
    pub(crate) events: Receiver<Event>,
}

impl World {
    pub(crate) fn new(server: &Server) -> Self {
        Self::with(provider(server), |_| ())
    }

    pub(crate) fn with(fake: Fake, change: impl FnOnce(&mut Builder)) -> Self {
        let (to_revisions, revisions) = channel();
        let (to_events, events) = channel();
        let mut builder = Driver::builder();
        let account = builder.account(Account::new(fake).unwrap());
        builder
            .on_revision(move |revision| {
                let _ = to_revisions.send(revision.clone());
                Ok(())
            })
            .on_event(move |event| {
                let _ = to_events.send(event.clone());
            });
        change(&mut builder);
        Self { driver: builder.start().unwrap(), account, revisions, events }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revisions.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn event<R>(&self, wanted: impl Fn(&Event) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(found) = wanted(&self.events.recv_timeout(left).unwrap()) {
                return found;
            }
        }
    }

    pub(crate) fn callback(&self, signature: &str, body: &str) -> u16 {
        let fields = [("content-type", &b"application/json"[..]), ("signature", signature.as_bytes())];
        let request = CallbackRequest {
            method: "POST",
            headers: Headers(&fields),
            body: body.as_bytes(),
            received_at: None,
        };
        self.driver.callback(self.account, &request).unwrap().status()
    }
}

/// A store whose saves fail and whose commits stall while they are told to.
#[derive(Clone, Default)]
pub(crate) struct Unwilling {
    pub(crate) memory: SharedMemory,
    pub(crate) stalls: Arc<AtomicBool>,
    pub(crate) fails: Arc<AtomicBool>,
    pub(crate) refused: Arc<AtomicUsize>,
}

impl Journal for Unwilling {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        while self.stalls.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.memory.commit(record)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.memory.mark_applied(positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        self.memory.unapplied(after, at_most)
    }
}

impl Sessions for Unwilling {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        if self.fails.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(TooLarge { record: 1, most_bytes: 0 });
        }
        self.memory.save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.memory.confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.memory.load(after, at_most)
    }
}
