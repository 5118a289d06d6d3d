//! What a driver was told and did, recorded on every runtime.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

mod common;

use common::fake::Fake;
use common::support::{self, AMPLE, Server, answer};
use common::{ACCEPTED, DECLINED, World, on_every_runtime};
use idv_async::{Client, Runtime, SharedMemory, record_to};
use idv_core::evidence::Verdict;
use idv_core::fleet::trace::{Entry, Head, Input, Replay};
use std::any::type_name;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

on_every_runtime! {
    g8_g10_what_happened_over_sockets_replays_identically_and_shows_no_id_token_or_body
}

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn of<R>(name: &str) -> Self {
        let runtime = type_name::<R>().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        Self(std::env::temp_dir().join(format!("idv-{runtime}-{name}-{}.jsonl", std::process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One process: it opens `open`, or goes on with what the store holds; then a callback says that there is news, and `verdict` is pulled.
async fn live<R: Runtime + Default>(
    fake: &Fake,
    store: &SharedMemory,
    to: &Path,
    open: Option<&str>,
    news: &dyn Fn(),
    verdict: Verdict,
) {
    let world = World::<R>::with(fake.clone(), |builder| {
        builder.store(store.clone()).record(record_to(to, false).unwrap());
    })
    .await;
    if let Some(id) = open {
        world.driver.open(world.account, id).await.unwrap();
        assert_eq!(world.revision().await.verdict, Verdict::Accepted);
    }
    let address =
        world.driver.listen("127.0.0.1:0".parse().unwrap(), &[("/cb", world.account)]).await.unwrap();
    news();
    let mut post = support::post(&format!("http://{address}/cb"), DECLINED.as_bytes());
    post.headers.push(("signature", "good".to_owned()));
    assert_eq!(Client::<R>::new().send(&post, AMPLE).await.unwrap().status, 200);
    assert_eq!(world.revision().await.verdict, verdict);
    world.driver.stop().await;
}

/// How many of these entries there are, all of them replayed.
fn replayed(text: &str, counted: impl Fn(&Input<'_>) -> bool) -> usize {
    let mut lines = text.lines();
    let mut replay = Replay::new(&Head::read(lines.next().unwrap()).unwrap(), &["fake"]);
    let entries = lines.map(|line| Entry::read(line).unwrap());
    entries
        .inspect(|entry| assert_eq!(replay.step(entry).unwrap(), None, "g8: {entry:?}"))
        .filter(|entry| counted(&entry.input))
        .count()
}

async fn g8_g10_what_happened_over_sockets_replays_identically_and_shows_no_id_token_or_body<
    R: Runtime + Default,
>() {
    let script = Arc::new(Mutex::new(vec![ACCEPTED, ""]));
    let said = Arc::clone(&script);
    let server = Server::new(move |request, stream| {
        let mut said = said.lock().unwrap();
        if request.starts_with(b"POST /token") {
            answer(stream, "200 OK", "", b"token-1");
        } else {
            let line = if said.len() > 1 { said.pop().unwrap() } else { said[0] };
            let status = if line.is_empty() { "404 Not Found" } else { "200 OK" };
            answer(stream, status, "", line.as_bytes());
        }
        true
    });
    let fake = Fake { base: server.url(""), tokens: true, signs: true };
    let (store, first, second) = (SharedMemory::default(), File::of::<R>("first"), File::of::<R>("second"));
    let now_says = |line| *script.lock().unwrap() = vec![line];
    live::<R>(&fake, &store, &first.0, Some("ab-1"), &|| now_says(DECLINED), Verdict::Declined).await;
    live::<R>(&fake, &store, &second.0, None, &|| now_says(ACCEPTED), Verdict::Accepted).await;

    let [first, second] = [&first, &second].map(|file| std::fs::read_to_string(&file.0).unwrap());
    let count = |text, kind: fn(&Input<'_>) -> bool| replayed(text, kind);
    assert_eq!(count(&first, |input| matches!(input, Input::Open { .. })), 1);
    assert_eq!(count(&first, |input| matches!(input, Input::TokenReceived { .. })), 1);
    assert_eq!(count(&first, |input| matches!(input, Input::HandedOver { .. })), 2);
    assert_eq!(count(&second, |input| matches!(input, Input::Restore { .. })), 1);
    assert_eq!(count(&second, |input| matches!(input, Input::TokenReceived { .. })), 1, "R11");
    for text in [&first, &second] {
        assert_eq!(count(text, |input| matches!(input, Input::Callback { .. })), 1);
        assert!(count(text, |input| matches!(input, Input::Pulled { .. })) >= 1);
        for shown in ["ab-1", "token-1", "very-secret", "verdict=", "good"] {
            assert!(!text.contains(shown), "g10: {shown} in {text}");
        }
    }
}
