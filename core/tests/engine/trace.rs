//! Whatever a test has an engine do is recorded, and replays identically from its text (G8), which shows nothing (G10).

use idv_core::fleet::trace::{Entry, Head, Recording, Redaction, Replay};
use std::sync::{Arc, Mutex};

/// The trace of one engine; looked at when the engine is gone.
pub(crate) struct Trace(Arc<Mutex<String>>);

impl Trace {
    pub(crate) fn begin() -> (Self, Recording) {
        let text = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&text);
        let write = move |line: &str| written.lock().unwrap().push_str(line);
        (Self(text), Recording::new(Redaction::keyed_digests([3; 32]), 0, write))
    }

    fn replays(&self) {
        let text = self.0.lock().unwrap();
        let mut lines = text.lines();
        let head = Head::read(lines.next().unwrap()).unwrap();
        let mut replay = Replay::new(&head, &["fake"]);
        for line in lines {
            let difference = replay.step(&Entry::read(line).unwrap()).unwrap();
            assert_eq!(difference, None, "g8: {line}");
        }
        // The ids of these tests, and the tokens that their provider gives.
        for shown in ["ab-", "token-"] {
            assert!(!text.contains(shown), "g10: {shown} in {text}");
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.replays();
        }
    }
}
