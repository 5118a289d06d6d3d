//! Arguments, settings and help.

use crate::idv::{Ran, bare, idv};

#[test]
fn g6_arguments_and_settings_that_cannot_work_are_2_and_say_what_to_do() {
    let url = "http://127.0.0.1:1";
    let watch = |more: &[&str]| {
        let mut command = idv(&["watch", "shareid", "authenticate", "fl-1"]);
        command.args(more);
        Ran::of(command)
    };
    for (more, words) in [
        (&[][..], "--api-url"),
        (&["--api-url", "ftp://x"], "must begin with https:// or http://"),
        (&["--api-url", "https://user:pass@host"], "give credentials through their own settings"),
        (&["--api-url", url, "--cadence", "5"], "write it like 200ms, 5s or 2m"),
        (&["--api-url", url, "--deadline", "0s"], "at least 1ms"),
        (&["--api-url", url, "--deadline", "100days"], "at most 49 days"),
        (
            &["--api-url", url, "--cadence", "1m", "--deadline", "5s"],
            "set --deadline above 1m, or --cadence below 5s",
        ),
        (&["--api-url", url, "--calls-per-minute", "0"], "--calls-per-minute"),
        (&["--api-url", url, "--ca-file", "/no/such/file"], "--ca-file /no/such/file cannot be read"),
        (&["--api-url", url, "--frobnicate"], "--frobnicate"),
    ] {
        watch(more).exits(2).complains(words);
    }
    for (arguments, words) in [
        (&[][..], "Usage: idv <COMMAND>"),
        (&["frobnicate"], "frobnicate"),
        (
            &["watch", "shareid", "sideways", "x", "--api-url", url],
            "possible values: onboarding, authenticate",
        ),
        (&["watch", "shareid", "authenticate", "", "--api-url", url], "the id is empty"),
        (&["listen", "--addr", "nonsense"], "write it like 127.0.0.1:8787"),
        (&["listen", "--api-url", url, "--api-url", url], "shareid=URL or shufti=URL"),
        (&["verify", "--body", "/no/such/file", "--signature", "x"], "cannot be read"),
    ] {
        Ran::of(idv(arguments)).exits(2).complains(words);
    }
    let mut wrong_log = idv(&["diagram"]);
    wrong_log.env("IDV_LOG", "idv=loud");
    Ran::of(wrong_log).exits(2).complains("error, warn, info, debug or trace");
}

#[test]
fn credentials_that_are_missing_empty_or_blank_are_named() {
    let shareid = ["watch", "shareid", "authenticate", "x", "--api-url", "http://127.0.0.1:1"];
    Ran::of(bare(&shareid)).exits(2).complains("IDV_SHAREID_BUSINESS_HASH is not set");
    let mut command = bare(&shareid);
    command.env("IDV_SHAREID_BUSINESS_HASH", "h");
    Ran::of(command).exits(2).complains("set IDV_SHAREID_API_KEY_FILE");
    let mut command = bare(&shareid);
    command.env("IDV_SHAREID_BUSINESS_HASH", "");
    Ran::of(command).exits(2).complains("IDV_SHAREID_BUSINESS_HASH is empty");
    let mut command = bare(&shareid);
    command.env("IDV_SHAREID_BUSINESS_HASH", " \n");
    Ran::of(command).exits(2).complains("IDV_SHAREID_BUSINESS_HASH holds only blanks");

    let shufti = ["watch", "shufti", "ref-1"];
    Ran::of(bare(&shufti)).exits(2).complains("IDV_SHUFTI_CLIENT_ID is not set");
    let mut command = idv(&shufti);
    command.env("IDV_SHUFTI_SECRET_KEY", "a,,b");
    Ran::of(command).exits(2).complains("IDV_SHUFTI_SECRET_KEY holds an empty secret");
    Ran::of(bare(&["listen", "--addr", "127.0.0.1:0", "--api-url", "http://127.0.0.1:1"]))
        .exits(2)
        .complains("no provider's credentials are complete");
}

#[test]
fn every_help_text_names_its_exit_codes() {
    let ran = Ran::of(bare(&["--help"])).exits(0);
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130 "] {
        assert!(ran.stdout.lines().any(|line| line.trim_start().starts_with(code)), "{code}");
    }
    let commands = [
        "demo",
        "watch",
        "watch shareid",
        "watch shufti",
        "listen",
        "verify",
        "sandbox",
        "trigger",
        "diagram",
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = Ran::of(bare(&words)).exits(0).stdout;
        assert!(help.contains("xit code"), "{command}: {help}");
        assert!(command == "demo" || help.contains("Example"), "{command}: {help}");
    }
    assert!(Ran::of(bare(&["--version"])).exits(0).stdout.starts_with("idv "));
}
