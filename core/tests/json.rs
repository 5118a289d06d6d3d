//! The open-world JSON reader (R19) and the content digest (R5).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

use idv_core::evidence::ContentDigest;
use idv_core::json::{Body, Content, Kind, MAX_DEPTH, Value};
use idv_core::{shareid, shufti};
use proptest::prelude::*;
use serde_json::Value as Plain;
use sha2::{Digest, Sha256};

/// What neither provider may repeat.
fn unrepeatable() -> Vec<&'static str> {
    [&shareid::contract::UNREPEATABLE[..], &shufti::contract::UNREPEATABLE].concat()
}

fn problem(body: &[u8]) -> (usize, usize, String) {
    let body = Body::new(body);
    let unreadable = body.object(&unrepeatable()).complete().expect_err("unreadable");
    (unreadable.line, unreadable.column, unreadable.problem)
}

fn digest(json: &str) -> ContentDigest {
    let wrapped = format!("{{\"it\":{json}}}");
    let body = Body::new(wrapped.as_bytes());
    let object = body.object(&[]).complete().expect("readable");
    let mut content = Content::new("test");
    content.value(object.get("it"));
    content.finish()
}

#[test]
fn r19_malformed_bodies_say_line_column_and_what_was_expected() {
    for (body, line, column, words) in [
        ("", 1, 1, "empty"),
        (" \n", 2, 1, "empty"),
        ("<html>524</html>", 1, 1, "expected a JSON value"),
        ("[]", 1, 1, "expected a JSON object, found an array"),
        ("\"hush\"", 1, 6, "expected a JSON object, found a string"),
        ("{\"a\":1,}", 1, 8, "expected a member name in double quotes"),
        ("{\"a\":1\n\"b\":2}", 2, 1, "expected `,` or `}`"),
        ("{\"a\":[1 2]}", 1, 9, "expected `,` or `]`"),
        ("{\"a\" 1}", 1, 6, "expected `:`"),
        ("{\"a\":\"hush", 1, 10, "EOF while parsing a string"),
        ("{\"a\":1} hush", 1, 9, "trailing characters"),
    ] {
        let (found_line, found_column, problem) = problem(body.as_bytes());
        assert!(problem.contains(words), "{body:?}: {problem}");
        assert!(!problem.contains("hush"), "{body:?} shows content: {problem}");
        assert_eq!(found_line, line, "{body:?}: {problem}");
        assert!(found_column.abs_diff(column) <= 1, "{body:?}: column {found_column}: {problem}");
    }
}

#[test]
fn r19_what_stands_before_a_fault_is_kept() {
    let body = Body::new(b"{\"reference\":\"r-1\",\"event\":\"request.pending\",\"country\":null\"}");
    let reading = body.object(&[]);
    assert!(reading.unreadable.is_some());
    assert_eq!(reading.object.get("event").unwrap().text().unwrap(), "request.pending");
}

#[test]
fn r19_only_the_five_members_must_not_be_repeated() {
    let unrepeatable = unrepeatable();
    assert_eq!(unrepeatable.len(), 5);
    for name in unrepeatable.iter().copied() {
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        for second in [name, escaped.as_str()] {
            let (line, column, problem) = problem(format!("{{\"{name}\":1,\n \"{second}\":2}}").as_bytes());
            assert_eq!((line, column), (2, 2));
            assert!(problem.contains(name), "{problem}");
        }
        let body = Body::new(b"{\"x\":1}");
        assert!(body.object(&unrepeatable).complete().unwrap().get_unrepeated(name).is_none());
    }
    let body = Body::new(b"{\"email\":1,\"email\":2,\"in\":{\"event\":1,\"event\":2}}");
    let object = body.object(&unrepeatable).complete().unwrap();
    assert_eq!(object.get("email").unwrap().raw(), "2");
    assert_eq!(object.get("in").unwrap().get("event").unwrap().raw(), "2");
    assert!(object.get_unrepeated("email").is_none());
}

#[test]
fn r19_nesting_is_bounded_without_a_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested =
            |depth: usize| format!("{{\"id\":7,\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth));
        let at_limit = nested(MAX_DEPTH - 1);
        let body = Body::new(at_limit.as_bytes());
        assert!(body.object(&[]).complete().is_ok());
        for depth in [MAX_DEPTH, 100_000] {
            let too_deep = nested(depth);
            let (line, column, words) = problem(too_deep.as_bytes());
            assert_eq!((line, column), (1, 13 + open.len() * (MAX_DEPTH - 1)));
            assert!(words.contains("nested deeper than the 127 levels"), "{words}");
            // Even asked for, the depths do not overflow the stack.
            let body = Body::new(too_deep.as_bytes());
            let object = body.object(&[]).object;
            assert_eq!(object.get("id").unwrap().raw(), "7");
            let mut content = Content::new("test");
            content.value(object.get("x"));
            let _ = content.finish();
        }
    }
    assert!(!problem("[".repeat(100_000).as_bytes()).2.is_empty());
    // Brackets in strings do not nest.
    let text = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000));
    assert!(Body::new(text.as_bytes()).object(&[]).complete().is_ok());
}

/// Before the place that is too deep stands everything that looks like nesting and is none.
#[test]
fn r19_what_stands_in_strings_and_beside_each_other_does_not_nest() {
    for text in TEXTS {
        for is_object in [false, true] {
            let shallow = [Step::In(60, is_object), Step::Text(text), Step::Out(60)].repeat(5);
            let (body, too_deep) = nested(&shallow);
            assert_eq!(too_deep, None);
            assert!(Body::new(body.as_bytes()).object(&[]).complete().is_ok(), "{text}");
            let (body, too_deep) = nested(&[shallow, vec![Step::In(MAX_DEPTH, is_object)]].concat());
            let (line, column, _) = problem(body.as_bytes());
            assert_eq!((line, Some(column - 1)), (1, too_deep), "{text}");
        }
    }
}

#[test]
fn r19_a_byte_order_mark_and_bytes_that_are_not_utf8_are_read_over() {
    let body = Body::new(b"\xEF\xBB\xBF{\"a\":\"x\xFFy\\ud800z\"}");
    assert!(body.is_repaired());
    let object = body.object(&[]).complete().unwrap();
    assert_eq!(object.get("a").unwrap().text().unwrap(), "x\u{FFFD}y\u{FFFD}z");
    assert!(!Body::new("{\"a\":\"é\"}".as_bytes()).is_repaired());
    let any = [&b"\xE2\x82 "[..], b"\xF0\x9F\x98\x80\xC3", b"\xFF\xFE", b"x\xED\xA0\x80"];
    any.iter().for_each(|bytes| assert_eq!(Body::new(bytes).text(), String::from_utf8_lossy(bytes)));
}

#[test]
fn r19_php_oddities_are_read_as_what_they_mean() {
    let body = Body::new(br#"{"yes":[1,"1",true,"true"],"no":[0,"0",false,"false"],"odd":[null,"",[],{},2,"x"],"gap":{"0":"a","2":"b"},"one":"a","url":"https:\/\/h\/\u00e9\ud83d\ude00"}"#);
    let object = body.object(&[]).complete().unwrap();
    assert!(object.get("yes").unwrap().elements().all(|value| value.flag() == Some(true)));
    assert!(object.get("no").unwrap().elements().all(|value| value.flag() == Some(false)));
    let odd: Vec<Value<'_>> = object.get("odd").unwrap().elements().collect();
    assert!(odd.iter().all(|value| value.flag().is_none()));
    assert_eq!(odd.iter().filter(|value| value.is_empty()).count(), 4);
    assert_eq!(odd[4].text().unwrap(), "2");
    assert_eq!(object.get("gap").unwrap().elements().count(), 2);
    assert_eq!(object.get("one").unwrap().elements().count(), 1);
    assert_eq!(object.get("one").unwrap().members().count(), 0);
    assert_eq!(object.get("url").unwrap().text().unwrap(), "https://h/é😀");
    assert_eq!(object.get("url").unwrap().kind(), Kind::String);
}

#[test]
fn g10_debug_shows_no_content() {
    let body = Body::new(br#"{"name":"Jane"}"#);
    let reading = body.object(&[]);
    let shown = format!("{body:?} {reading:?} {:?}", reading.object.get("name"));
    assert!(!shown.contains("Jane") && !shown.contains("name"), "{shown}");
}

#[test]
fn r5_the_digest_ignores_how_content_is_written_and_what_changes_by_itself() {
    let one = digest(
        r#"{"b":{"y":1,"x":"é/"},"a":["1",2,""],"file":"https:\/\/a.example\/f.png?access_token=one"}"#,
    );
    let two = digest(
        "{\"file\":\"HTTPS://b.example/g\",\"a\":[1, \"2\", null ],\n\"\\u0062\":{\"x\":\"\\u00e9\\/\",\"none\":[],\"y\":\"1\"}}",
    );
    assert_eq!(one, two);
    for other in
        [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"b":1}"#, r#"{"a":[1]}"#, r#"{"a":true}"#, r#"{"a":{"a":1}}"#]
    {
        assert_ne!(one, digest(other));
    }
    assert_ne!(digest(r#"["ab","c"]"#), digest(r#"["a","bc"]"#));
    assert_ne!(digest(r#"[["a"],"b"]"#), digest(r#"["a",["b"]]"#));
    assert_eq!(digest("null"), digest("{ }"));
    assert_ne!(digest("0"), digest("1"));
}

/// G9: digests are saved with sessions, so that a newer release must compute the same ones; another digest would be handed over as a
/// change of data, for every session there is. Whoever changes what is digested changes these bytes, and says so in the release's notes.
#[test]
fn g9_a_digest_is_the_first_64_bits_of_the_sha_256_of_a_form_that_stays_as_it_is() {
    let forms: [(&str, &[u8]); 3] = [
        ("null", b"-"),
        ("\"\\u00e9\"", b"s\xC3\xA9\xFF"),
        (
            r#"{"b": [1, true, {"c": "x"}, ""], "a": "https:\/\/h\/p", "none": null}"#,
            b"{sa\xFFusb\xFF[s1\xFFt{sc\xFFsx\xFF\xFF-\xFF\xFF",
        ),
    ];
    for (json, form) in forms {
        let whole: [u8; 32] = Sha256::digest([b"stest\xFF", form].concat()).into();
        let wanted = u64::from_be_bytes(*whole.first_chunk().unwrap());
        assert_eq!(digest(json), ContentDigest(wanted), "{json}");
    }
}

#[test]
fn r5_a_set_has_no_order_and_holds_equal_parts_once() {
    let set = |parts: &[&str]| {
        let mut content = Content::new("test");
        content.set(parts.iter(), |content, part| content.text(part));
        content.finish()
    };
    assert_eq!(set(&["a", "a"]), set(&["a"]));
    assert_eq!(set(&["a", "b", "b"]), set(&["a", "b"]));
    assert_eq!(set(&["b", "a", "b", "a"]), set(&["a", "b"]));
    assert_ne!(set(&["a"]), set(&["b"]));
    assert_ne!(set(&[]), set(&[""]));
    assert_eq!(digest(r#"{"a":1,"a":1}"#), digest(r#"{"a":1}"#));
}

/// A step through a body: so many levels in, so many out, or a text.
#[derive(Clone, Copy, Debug)]
enum Step {
    In(usize, bool),
    Out(usize),
    Text(&'static str),
}

/// Texts that show brackets, quotes and backslashes, none of which nests.
const TEXTS: [&str; 8] = ["", "[", "]", "{}", "\\\"[", "\\\"]", "\\\\", "\\\\\\\"{"];

/// A body that goes these steps, and the offset of the first bracket that is too deep.
fn nested(steps: &[Step]) -> (String, Option<usize>) {
    let (mut text, mut open, mut too_deep) = (String::from("{\"first\":0"), vec![true], None);
    for step in steps {
        match step {
            Step::In(levels, is_object) => {
                for _ in 0..*levels {
                    text.push_str(if text.ends_with(['{', '[']) { "" } else { "," });
                    text.push_str(if *open.last().unwrap() { "\"k\":" } else { "" });
                    open.push(*is_object);
                    too_deep = too_deep.or((open.len() > MAX_DEPTH).then_some(text.len()));
                    text.push(if *is_object { '{' } else { '[' });
                }
            }
            Step::Out(levels) => {
                for _ in 0..(*levels).min(open.len() - 1) {
                    text.push(if open.pop().unwrap() { '}' } else { ']' });
                }
            }
            Step::Text(part) => {
                text.push_str(if text.ends_with(['{', '[']) { "" } else { "," });
                text.push_str(if *open.last().unwrap() { "\"k\":" } else { "" });
                text.push_str(&format!("\"{}\"", part.repeat(2 * MAX_DEPTH)));
            }
        }
    }
    while let Some(is_object) = open.pop() {
        text.push(if is_object { '}' } else { ']' });
    }
    (text, too_deep)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..100_usize, any::<bool>()).prop_map(|(levels, is_object)| Step::In(levels, is_object)),
        2 => (1..100_usize).prop_map(Step::Out),
        2 => prop::sample::select(TEXTS.to_vec()).prop_map(Step::Text),
    ]
}

/// JSON values as the providers could send them, keys and strings with what needs escaping.
fn plain() -> impl Strategy<Value = Plain> {
    let leaf = prop_oneof![
        Just(Plain::Null),
        any::<bool>().prop_map(Plain::from),
        any::<i32>().prop_map(Plain::from),
        ".{0,8}".prop_map(Plain::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Plain::from),
            prop::collection::btree_map("\\PC{0,4}|[\\\\\"/\n]", inner, 0..6)
                .prop_map(|members| Plain::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a value as PHP does, or plainly, with its members in either order.
fn write(value: &Plain, php: bool, reversed: bool, out: &mut String) {
    match value {
        Plain::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if reversed {
                members.reverse();
            }
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(&Plain::from(name.as_str()), php, reversed, out);
                out.push_str(if reversed { " : " } else { ":" });
                write(value, php, reversed, out);
            }
            out.push('}');
        }
        Plain::Array(elements) => {
            out.push('[');
            for (index, value) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(value, php, reversed, out);
            }
            out.push(']');
        }
        Plain::String(text) if php => {
            let mut units = [0; 2];
            let plain = serde_json::to_string(text).unwrap();
            for char in plain.chars() {
                match char {
                    '/' => out.push_str("\\/"),
                    char if !char.is_ascii() => {
                        char.encode_utf16(&mut units)
                            .iter()
                            .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
                    }
                    char => out.push(char),
                }
            }
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Rebuilds a value through the reader's own accessors.
fn rebuilt(value: Value<'_>) -> Plain {
    match value.kind() {
        Kind::Null => Plain::Null,
        Kind::Bool | Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::String => Plain::from(value.text().unwrap().into_owned()),
        Kind::Array => value.elements().map(rebuilt).collect(),
        Kind::Object => {
            Plain::Object(value.members().map(|(name, value)| (name.into_owned(), rebuilt(value))).collect())
        }
    }
}

proptest! {
    #[test]
    fn r19_every_value_is_read_as_serde_json_reads_it(value in plain(), php: bool, reversed: bool) {
        let mut text = String::from("{\"it\":");
        write(&value, php, reversed, &mut text);
        text.push('}');
        let body = Body::new(text.as_bytes());
        let object = body.object(&[]).complete().unwrap();
        prop_assert_eq!(rebuilt(object.get("it").unwrap()), value);
    }

    #[test]
    fn r5_escapes_and_order_do_not_change_the_digest(value in plain()) {
        let (mut php, mut plain) = (String::new(), String::new());
        write(&value, true, true, &mut php);
        write(&value, false, false, &mut plain);
        prop_assert_eq!(digest(&php), digest(&plain));
    }

    #[test]
    fn r19_depth_is_counted_by_brackets_that_nest_and_its_fault_lies_at_the_first_too_deep(steps in prop::collection::vec(step(), 1..12)) {
        let (text, too_deep) = nested(&steps);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
        let body = Body::new(text.as_bytes());
        let reading = body.object(&[]);
        prop_assert_eq!(reading.object.get("first").unwrap().raw(), "0");
        let found = reading.unreadable.map(|unreadable| (unreadable.line, unreadable.column));
        prop_assert_eq!(found, too_deep.map(|offset| (1, offset + 1)), "{}", text);
    }

    /// Of a repeated name the last counts, as PHP, JavaScript and serde_json read it, however the name is written.
    #[test]
    fn r19_a_repeated_member_is_the_last_one_as_serde_json_reads_it(
        members in prop::collection::vec((prop::sample::select(vec!["a", "\\u0061", "b", "ab", "", "\\u0000", "é", "\\u00e9"]), plain()), 0..8),
    ) {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\" :{value}")).collect();
        let text = format!("{{\"in\":{{{0}}},{0}{1}}}", members.join(","), if members.is_empty() { "\"x\":0" } else { "" });
        let wanted: serde_json::Map<String, Plain> = serde_json::from_str(&text).unwrap();
        let body = Body::new(text.as_bytes());
        let object = body.object(&[]).complete().unwrap();
        let inside = object.get("in").unwrap();
        let names: Vec<String> = object.iter().map(|(name, _)| name.into_owned()).collect();
        prop_assert_eq!(names.len(), 1 + members.len().max(1), "none is left out");
        for name in ["a", "b", "ab", "", "\0", "é", "c"] {
            prop_assert_eq!(object.get(name).map(rebuilt), wanted.get(name).cloned(), "{}", text);
            prop_assert_eq!(inside.get(name).map(rebuilt), wanted["in"].get(name).cloned(), "{}", text);
            let times = names.iter().filter(|other| *other == name).count();
            prop_assert_eq!(object.get_unrepeated(name).is_some(), times == 1, "{}", text);
        }
    }

    /// A body that broke off, or that somebody cut, still says whom it is about.
    #[test]
    fn r19_what_stands_before_a_fault_is_read_as_without_it(
        members in prop::collection::vec(("[a-z]{1,3}", plain()), 1..6), cut in any::<prop::sample::Index>(), damage in prop::sample::select(vec!["", "}", "\u{1}", "]", "\\", ",,", "\"\"\""]),
    ) {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let whole = Body::new(text.as_bytes());
        let whole = whole.object(&[]).complete().unwrap();
        let mut cut = cut.index(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let cut_text = format!("{}{damage}", &text[..cut]);
        let body = Body::new(cut_text.as_bytes());
        let found = body.object(&[]).object;
        // The last one may be what the damage made of it.
        let complete = members.iter().scan(1, |end, member| { *end += member.len() + 1; Some(*end - 1) }).take_while(|end| *end < cut).count();
        prop_assert!(found.iter().count() >= complete, "{}", cut_text);
        for ((name, value), (same_name, same)) in whole.iter().zip(found.iter()).take(complete) {
            prop_assert_eq!((name, value.raw()), (same_name, same.raw()));
        }
    }

    #[test]
    fn r19_any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Body::new(&bytes).object(&[]).complete();
    }

    #[test]
    fn r19_any_damage_to_json_is_read_without_panic(
        value in plain(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut text = String::from("{\"it\":");
        write(&value, true, false, &mut text);
        text.push('}');
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        let body = Body::new(&bytes);
        let reading = body.object(&[]);
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(body.text()).is_ok() && body.text().trim_start().starts_with('{');
        prop_assert_eq!(reading.unreadable.is_none(), valid);
        for (_, value) in reading.object.iter() {
            let _ = (value.text(), value.flag(), value.members().count(), value.elements().count());
        }
        let mut content = Content::new("test");
        content.value(reading.object.get("it"));
        let _ = content.finish();
    }
}
