//! G10: a secret is nowhere in the memory of the process once those are gone who held it.
//!
//! The memory is read as a debugger reads it, by a file that Linux has for it; freed memory keeps there what was in it, as glibc does
//! not clear it. Elsewhere there is no way to look without unsafe code.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// With this allocator a buffer that grows always moves, and leaves a copy behind.
use allocation_counter as _;
use idv_core::http::{Headers, Received, Request};
use idv_core::provider::{Provider, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::{shareid, shufti};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// What every secret here consists of, again and again, and the same in base64. Its length is a multiple of three, so that base64 of
/// many is base64 of one, many times.
const MARK: &str = "Sesame/open.the-door_now";
const MARK_IN_BASE64: &str = "U2VzYW1lL29wZW4udGhlLWRvb3Jfbm93";

fn secret(times: usize) -> String {
    MARK.repeat(times)
}

/// What the memory is looked through with: nothing is asked for in between, which would overwrite what is looked for.
struct Search {
    maps: String,
    buffer: Vec<u8>,
}

impl Search {
    fn new() -> Self {
        Self { maps: String::with_capacity(1 << 17), buffer: vec![0; 1 << 18] }
    }

    /// How often the mark stands in memory.
    fn copies(&mut self) -> usize {
        self.copies_of(&[MARK, MARK_IN_BASE64])
    }

    /// How often these stand in memory that can be written. Not in the stack: what a function held there the next one overwrites.
    fn copies_of(&mut self, marks: &[&str]) -> usize {
        let Self { maps, buffer } = self;
        maps.clear();
        File::open("/proc/self/maps").unwrap().read_to_string(maps).unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut found = 0;
        let stack = std::ptr::from_ref(&found).addr() as u64;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let [mut from, end] = [start, end].map(|place| u64::from_str_radix(place, 16).unwrap());
            while from < end && !(from..end).contains(&stack) {
                let wanted = buffer.len().min(usize::try_from(end - from).unwrap());
                // Pages that belong to a device cannot be read.
                let read = memory.read_at(&mut buffer[..wanted], from).unwrap_or(0);
                for mark in marks.iter().map(|mark| mark.as_bytes()) {
                    for page in (0..read).step_by(4096) {
                        let starts = page..read.min(page + 4096);
                        if buffer[starts.clone()].contains(&mark[0]) {
                            found += starts.filter(|start| buffer[*start..read].starts_with(mark)).count();
                        }
                    }
                }
                // What was found is not to be found again where it was read to.
                buffer.fill(0);
                if read < buffer.len() {
                    break;
                }
                // The next part begins before the end of this one: a mark may lie across it.
                from += (read - 64) as u64;
            }
        }
        found
    }

    /// Runs a story in which secrets are held, which says how often it saw them, and looks for them when all who held them are gone.
    fn nothing_is_left_of(&mut self, story: &str, run: impl FnOnce(&mut Self) -> usize) {
        assert!(run(self) > 0, "{story}: the secret was not there even while it was held");
        assert_eq!(self.copies(), 0, "{story}: something is left");
    }
}

fn shareid_account() -> shareid::Account {
    let flow = shareid::Flow::Onboarding;
    shareid::Account::new("https://a.example", flow, Secret::new(secret(50)), Secret::new(secret(70)))
        .unwrap()
}

fn shufti_account(auth: shufti::AuthMode) -> shufti::Account {
    // With its colon the client's id fills whole groups of base64.
    shufti::Account::builder("client-a", Secret::new(secret(50))).auth(auth).build().unwrap()
}

fn received(before: &[u8], after: &[u8]) -> Received {
    let mut body = Vec::with_capacity(8192);
    body.extend_from_slice(before);
    (0..100).for_each(|_| body.extend_from_slice(MARK.as_bytes()));
    body.extend_from_slice(after);
    Received { status: 200, headers: Vec::new(), body }
}

/// One test, one story after the other: they would see each other's secrets.
#[test]
fn g10_no_secret_is_left_in_memory_by_requests_answers_and_accounts() {
    let mut search = Search::new();
    // Whoever drops a plain text leaves it, and is found out.
    let plain = "Anybody/may.read-this_text";
    drop(plain.repeat(4_000));
    assert!(search.copies_of(&[plain]) > 0, "this test would see nothing");

    search.nothing_is_left_of("a secret", |search| {
        let secret = Secret::new(secret(100));
        let again = secret.clone();
        drop(secret);
        let seen = search.copies();
        drop(again);
        seen
    });
    search.nothing_is_left_of("a request that is dropped", |search| {
        let mut request = Request::new();
        assert!(shareid_account().token_request(&mut request));
        search.copies()
    });
    search.nothing_is_left_of("a request that is cleared", |search| {
        let mut request = Request::new();
        assert!(shareid_account().token_request(&mut request));
        let seen = search.copies();
        request.clear();
        assert_eq!(search.copies(), 0, "a request that is cleared");
        seen
    });
    search.nothing_is_left_of("a start, with what the application sends along", |search| {
        let mut request = Request::new();
        let data = Secret::new(format!("{{\"name\":\"{MARK}\"}}"));
        let callback = Secret::new(format!("https://a.example/?who={MARK}"));
        let start = shareid::StartOnboarding {
            customer_data: Some(data.reveal()),
            callback: Some(callback.reveal()),
            ..shareid::StartOnboarding::default()
        };
        shareid_account().start_request(&shareid::Start::Onboarding(start), &mut request).unwrap();
        search.copies()
    });
    search.nothing_is_left_of("a fetch with its token", |search| {
        let mut request = Request::new();
        shareid_account().pull_request("ap-1", Some(&Secret::new(secret(100))), &mut request);
        search.copies()
    });
    search.nothing_is_left_of("HTTP Basic", |search| {
        let mut request = Request::new();
        shufti_account(shufti::AuthMode::Basic).pull_request("r-1", None, &mut request);
        let account = shufti_account(shufti::AuthMode::AccessToken);
        let mut asking = Request::new();
        assert!(account.token_request(&mut asking));
        drop(account);
        search.copies()
    });
    for (before, after) in [
        (&b"{\"token\":\""[..], &b"\"}"[..]),
        (b"{\"token\":\"\\u0041", b"\"}"),
        (b"{\"token\":\"\\n", b"\"}"),
        (b"{\"detail\":\"", b"\"}"),
        (b"{\"odd\":\"\xFF\",\"token\":\"", b"\"}"),
        (b"{\"token\":\"", b"\xFF"),
        (b"{\"token\":\"", b"\",}"),
    ] {
        let story =
            format!("an answer with a fetch token: {} … {}", before.escape_ascii(), after.escape_ascii());
        search.nothing_is_left_of(&story, |search| {
            let received = received(before, after);
            let account = shareid_account();
            let answer = received.lend(|answer| account.read_token(answer, None));
            let seen = search.copies();
            assert!(!matches!(answer, TokenAnswer::Received { .. }) || seen > 100);
            seen
        });
    }
    for (before, after) in [
        (&b"{\"access_token\":\""[..], &b"\"}"[..]),
        (b"{\"access_token\":\"\\u0041", b"\"}"),
        (b"{\"access_token\":\"\\n", b"\"}"),
    ] {
        search.nothing_is_left_of(
            &format!("an answer with an access token: {} …", before.escape_ascii()),
            |search| {
                let received = received(before, after);
                let account = shufti_account(shufti::AuthMode::AccessToken);
                let _answer = received.lend(|answer| account.read_token(answer, None));
                search.copies()
            },
        );
    }
    search.nothing_is_left_of("a callback whose signature is checked", |search| {
        let account = shufti_account(shufti::AuthMode::Basic);
        let signature = "0".repeat(64);
        let mut check = account.check_callback(Headers(&[("signature", signature.as_bytes())]));
        check.update(b"{\"reference\":\"r-1\"}");
        let _checked = check.finish();
        search.copies()
    });
}
