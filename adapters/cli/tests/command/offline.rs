//! `idv verify` and `idv diagram`: nothing leaves the process.

use crate::idv::{Ran, bare};
use std::process::{Command, Stdio};

/// A body as PHP writes it, and its signatures; made elsewhere.
const BODY: &str = r#"{"reference":"17374217","event":"request.pending","verification_url":"https:\/\/app.shuftipro.com\/process\/verification\/abc","email":null,"country":"GB"}"#;
const BEFORE: &str = "dd471c14ecdc2a71f6df70c6a017082c609bf7485c42e1ee01d7b760ce789120";
const AFTER: &str = "a15e34120f1ec7c76d1fdebb4bf1f0c0e1add25a11fb22741c199a9c2cab7743";

/// Verifies `body` from standard input.
fn verify(secret: &str, body: &str, more: &[&str]) -> Ran {
    let mut command = bare(&["verify", "--body", "-"]);
    command.args(more).env("IDV_SHUFTI_SECRET_KEY", secret);
    fed(command, body)
}

fn fed(mut command: Command, body: &str) -> Ran {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        took: std::time::Duration::ZERO,
    }
}

#[test]
fn both_rules_verify_and_the_one_that_matched_is_named() {
    for (signature, rule) in [(BEFORE, "before"), (AFTER, "after")] {
        let ran = verify("test-secret", BODY, &["--signature", signature]).exits(0);
        assert_eq!(ran.stdout, format!("valid by rule {rule} with secret 1\n"));
        let ran = verify("another,test-secret", BODY, &["--signature", signature, "--rule", rule, "--json"])
            .exits(0);
        let [object] = &ran.objects()[..] else { panic!("{}", ran.stdout) };
        assert_eq!(
            (&object["valid"], &object["rule"], &object["secret"]),
            (&true.into(), &rule.into(), &2.into())
        );
    }
}

#[test]
fn a_failure_says_what_was_tried_and_what_would_have_fitted() {
    let parsed: serde_json::Value = serde_json::from_str(BODY).unwrap();
    let cases: [(&str, String, String, &[&str], &str); 9] = [
        ("the other rule", BODY.into(), BEFORE.into(), &["--rule", "after"], "by the other rule"),
        ("written again", BODY.replace("\\/", "/"), AFTER.into(), &[], "parsed and written again"),
        (
            "indented",
            serde_json::to_string_pretty(&parsed).unwrap(),
            AFTER.into(),
            &[],
            "parsed and written again",
        ),
        ("a newline more", format!("{BODY}\n"), AFTER.into(), &[], "added to the end of the body"),
        ("a mark", format!("\u{feff}{BODY}"), AFTER.into(), &[], "byte order mark"),
        ("a prefix", BODY.into(), format!("sha256={AFTER}"), &[], "before its 64 digits"),
        ("too short", BODY.into(), "abc".into(), &[], "expected 64 hexadecimal digits"),
        ("empty", String::new(), AFTER.into(), &[], "the body is empty"),
        ("changed", BODY.replace("GB", "FR"), AFTER.into(), &[], "nothing that was tried fits"),
    ];
    for (name, body, signature, more, words) in cases {
        let ran = verify("test-secret", &body, &[&["--signature", &signature], more].concat()).exits(1);
        assert!(ran.stdout.contains(words), "{name}: {}", ran.stdout);
        assert!(ran.stdout.contains("tried, with 1 secret(s)"), "{name}: {}", ran.stdout);
        assert!(!ran.stdout.contains("test-secret"), "g10");
    }
    let ran = verify("test-secret", BODY, &["--signature", &AFTER.to_uppercase()]).exits(0);
    assert!(ran.stdout.contains("upper case"), "{}", ran.stdout);
    let ran = verify(" test-secret", BODY, &["--signature", AFTER]).exits(1);
    assert!(ran.stdout.contains("white space around it"), "{}", ran.stdout);
    let ran = verify("test-secret", &BODY.replace("\\/", "/"), &["--signature", AFTER, "--json"]).exits(1);
    let object = &ran.objects()[0];
    assert_eq!(object["valid"], false);
    assert_eq!(object["would_fit"].as_array().map(Vec::len), Some(1));
    assert!(object["tried"].as_array().is_some_and(|tried| !tried.is_empty()));
}

#[test]
fn a_secret_can_stand_in_a_file() {
    let path = std::env::temp_dir().join(format!("idv-test-{}-secret", std::process::id()));
    std::fs::write(&path, "test-secret\n").unwrap();
    let with_file = || {
        let mut command = bare(&["verify", "--body", "-", "--signature", AFTER]);
        command.env("IDV_SHUFTI_SECRET_KEY_FILE", &path);
        command
    };
    fed(with_file(), BODY).exits(0);
    let mut both = with_file();
    both.env("IDV_SHUFTI_SECRET_KEY", "test-secret");
    Ran::of(both).exits(2).complains("both set");
    std::fs::write(&path, "\n").unwrap();
    Ran::of(with_file()).exits(2).complains("empty file");
    std::fs::remove_file(&path).unwrap();
    Ran::of(with_file()).exits(2).complains("cannot be read");
}

#[test]
fn the_diagrams_are_those_that_were_looked_at() {
    let all = Ran::of(bare(&["diagram"])).exits(0).stdout;
    assert_eq!(
        all,
        include_str!("diagrams.md"),
        "where this is meant: idv diagram > adapters/cli/tests/command/diagrams.md"
    );
    for name in all.lines().filter_map(|line| line.strip_prefix("## ")) {
        let one = Ran::of(bare(&["diagram", name])).exits(0).stdout;
        assert!(one.starts_with("---\ntitle: ") && one.contains("\nstateDiagram-v2\n"), "{one}");
        assert!(all.contains(&one), "{name}");
    }
    Ran::of(bare(&["diagram", "perpetuum-mobile"])).exits(2).complains("there are: token, poller");
}
