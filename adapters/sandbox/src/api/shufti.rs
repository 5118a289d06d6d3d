//! Shufti Pro's endpoints (`developers.shuftipro.com`, verification endpoints). Where its documents name no status for a refusal, the one of
//! its recorded answers is taken.

use super::{Answer, Call, SCENARIO_HEADER, is_allowed};
use crate::bodies;
use crate::php;
use crate::scenario::{Provider, Step};
use crate::world::{Offsite, Opening, Product, World};
use idv_core::http::basic_authorization;
use idv_core::lifecycle::Channel;
use idv_core::shufti::contract as shufti;
use idv_listener::Method;
use serde_json::{Map, Value, json};
use std::time::Duration;

pub(crate) fn answer(world: &mut World, call: Call<'_>) -> Answer {
    if call.path == shufti::STATUS_PATH
        && let Some(id) = call.member("reference")
        && world.breaks_off(Provider::Shufti, &id)
    {
        return Answer::unread(&id);
    }
    if let Err(wait) = world.admit(Provider::Shufti) {
        let mut answer =
            Answer::json(429, "too many attempts", php::encode(&json!({"message": "Too Many Attempts."})));
        answer.retry_after = Some(wait);
        return answer;
    }
    let post = *call.method == Method::POST;
    match call.path {
        path if *call.method == Method::GET && path.starts_with("/process/") => page(),
        shufti::VERIFY_PATH if post => with_body(world, call, verify),
        shufti::STATUS_PATH if post => with_body(world, call, status),
        shufti::DELETE_PATH if post => with_body(world, call, delete),
        shufti::ACCESS_TOKEN_PATH if post => access_token(world, call),
        shufti::ACCOUNT_INFO_PATH if *call.method == Method::GET => account(world, call),
        shufti::DECLINE_REASONS_PATH if *call.method == Method::GET => decline_reasons(world, call),
        _ => {
            world.statistics.shufti.invalid += 1;
            Answer::json(404, "no such endpoint", php::encode(&json!({"message": "Not Found"})))
        }
    }
}

fn is_basic(world: &World, call: Call<'_>) -> bool {
    let credentials = &world.config.credentials;
    let expected = basic_authorization(&credentials.shufti_client_id, &credentials.shufti_secret_key);
    let expected = expected.split_once(' ').map(|(_, credential)| credential);
    call.authorization("basic").is_some_and(|given| Some(given) == expected)
}

fn unauthorized(world: &mut World, why: &str) -> Answer {
    world.statistics.shufti.unauthorized += 1;
    let event = "request.unauthorized";
    let body = bodies::shufti_refusal(event, "", "", "Authorization keys are missing/invalid.");
    Answer::json(401, format!("{event}: {why}"), body)
}

fn invalid(world: &mut World, reference: &str, key: &str, message: &str) -> Answer {
    world.statistics.shufti.invalid += 1;
    let event = "request.invalid";
    Answer::json(400, event, bodies::shufti_refusal(event, reference, key, message)).about(reference)
}

/// Lets in by HTTP Basic or by an access token, which is used up by it; the answer if not.
fn refuse(world: &mut World, call: Call<'_>) -> Option<Answer> {
    if is_basic(world, call) {
        return None;
    }
    let Some(token) = call.authorization("bearer") else {
        return Some(unauthorized(world, "no or wrong credentials"));
    };
    world.present(token, Product::Shufti).err().map(|why| unauthorized(world, why))
}

fn with_body(
    world: &mut World,
    call: Call<'_>,
    endpoint: fn(&mut World, Call<'_>, &Map<String, Value>) -> Answer,
) -> Answer {
    if let Some(refusal) = refuse(world, call) {
        return refusal;
    }
    match serde_json::from_slice(call.body) {
        Ok(Value::Object(body)) => endpoint(world, call, &body),
        Ok(_) | Err(_) => invalid(world, "", "", "The request is not a JSON object."),
    }
}

fn text<'a>(body: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    body.get(member)?.as_str().filter(|text| !text.is_empty())
}

/// A value as people write flags for PHP: `"1"`, `1`, `true`.
fn is_zero(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => text == "0",
        Some(Value::Number(number)) => number.as_u64() == Some(0),
        Some(Value::Bool(flag)) => !flag,
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// `POST /`: creates a verification.
fn verify(world: &mut World, call: Call<'_>, body: &Map<String, Value>) -> Answer {
    let Some(reference) = text(body, "reference") else {
        return invalid(world, "", "reference", "The reference field is required.");
    };
    if !shufti::REFERENCE_LENGTH.contains(&reference.chars().count()) {
        return invalid(world, reference, "reference", "The reference must be between 6 and 250 characters.");
    }
    if world.find(Provider::Shufti, reference).is_some() {
        return invalid(world, reference, "reference", "The reference has already been taken.");
    }
    let callback = text(body, "callback_url").map(str::to_owned);
    if callback.as_deref().is_some_and(|url| !is_allowed(url, world.config.beyond_loopback)) {
        let message = "The given callback domain is not registered in your account.";
        return invalid(world, reference, "callback_url", message);
    }
    let ttl =
        body.get("ttl").and_then(Value::as_u64).map(|minutes| Duration::from_secs(minutes.min(525_600) * 60));
    let has_proof =
        |service: &Value| service.get("proof").and_then(Value::as_str).is_some_and(|proof| !proof.is_empty());
    let offsite = body.values().any(has_proof).then(|| match is_zero(body.get("show_results")) {
        true => Offsite::Received,
        false => Offsite::Verdict,
    });
    let wished = match call.field(SCENARIO_HEADER) {
        Some(name) => world.scenario(Provider::Shufti, name),
        None => world
            .scenario_in(Provider::Shufti, reference)
            .or_else(|| world.default_scenario(Provider::Shufti)),
    };
    let Some(scenario) = wished else {
        return invalid(world, reference, SCENARIO_HEADER, "The sandbox has no scenario of this name.");
    };
    let opening = Opening {
        callback,
        email: text(body, "email").map(str::to_owned),
        country: text(body, "country").map(str::to_owned),
        offsite,
        ttl,
        ..Opening::default()
    };
    let index = world.open(Product::Shufti, reference, scenario, opening);
    state(world, index, Channel::Http)
}

/// The present state of a verification, as a body for this channel.
fn state(world: &World, index: usize, channel: Channel) -> Answer {
    let found = world.verifications.get(index).and_then(|verification| {
        let truth = verification.truth.as_ref()?;
        let answer = Answer::json(200, truth.event.clone(), world.body(verification, truth, channel));
        Some(answer.about(&verification.id))
    });
    // A Shufti verification always has a state; an answer without one would be the sandbox's own fault.
    found.unwrap_or_else(|| Answer::json(500, "no state", b"{}".to_vec()))
}

/// `POST /status`.
fn status(world: &mut World, _: Call<'_>, body: &Map<String, Value>) -> Answer {
    let reference = text(body, "reference").unwrap_or_default();
    world.statistics.shufti.pulls += 1;
    let Some(index) = world.find(Provider::Shufti, reference) else {
        return invalid(world, reference, "reference", "The selected reference is invalid.");
    };
    let mut scripted = None;
    if let Some(verification) = world.verifications.get_mut(index) {
        scripted = verification.scripted_fault();
        verification.pulls += 1;
    }
    world.statistics.shufti.answered_pulls += 1;
    let fault = scripted.or_else(|| world.random_fault(reference));
    state(world, index, Channel::Status).struck_by(fault)
}

/// `POST /delete`.
fn delete(world: &mut World, _: Call<'_>, body: &Map<String, Value>) -> Answer {
    let reference = text(body, "reference").unwrap_or_default();
    let comment = text(body, "comment").map_or(0, |comment| comment.chars().count());
    if !shufti::COMMENT_LENGTH.contains(&comment) {
        return invalid(world, reference, "comment", "The comment must be between 5 and 200 characters.");
    }
    let found = world.find(Provider::Shufti, reference).filter(|index| {
        let truth = world.verifications.get(*index).and_then(|verification| verification.truth.as_ref());
        truth.is_none_or(|truth| truth.event != "request.deleted")
    });
    let Some(index) = found else {
        return invalid(world, reference, "reference", "The selected reference is invalid.");
    };
    world.happen(index, &Step::new(Duration::ZERO, "request.deleted"));
    state(world, index, Channel::Http)
}

/// `POST /get/access/token`, by HTTP Basic alone.
fn access_token(world: &mut World, call: Call<'_>) -> Answer {
    if !is_basic(world, call) {
        return unauthorized(world, "wrong credentials");
    }
    let token = world.issue(Product::Shufti);
    let fault = world.random_fault(shufti::ACCESS_TOKEN_PATH);
    Answer::json(200, "token", php::encode(&json!({"access_token": token}))).struck_by(fault)
}

fn account(world: &mut World, call: Call<'_>) -> Answer {
    if let Some(refusal) = refuse(world, call) {
        return refusal;
    }
    let account = json!({"account": {
        "name": "Sandbox", "status": "trial", "balance": {"amount": "0", "currency": "USD"}, "subscription_plan_details": {},
    }});
    Answer::json(200, "account", php::encode(&account))
}

/// Some of the codes, in our words.
const DECLINE_REASONS: [(&str, &str); 6] = [
    ("SPDR01", "The face could not be verified"),
    ("SPDR06", "The originality of the document could not be established"),
    ("SPDR17", "The document has expired"),
    ("SPDR18", "The image of the document is blurred"),
    ("SPDR241", "The user cancelled the verification"),
    ("SPDR247", "The service is not available"),
];

fn decline_reasons(world: &mut World, call: Call<'_>) -> Answer {
    if let Some(refusal) = refuse(world, call) {
        return refusal;
    }
    let reasons: Vec<Value> = DECLINE_REASONS
        .iter()
        .map(|(code, description)| json!({"status_code": code, "description": description}))
        .collect();
    Answer::json(200, "decline reasons", php::encode(&json!({"decline_reasons": reasons})))
}

/// Where a person would show face and document.
fn page() -> Answer {
    let text =
        "This is a sandbox. Nobody needs to show anything here: the scenario of the verification decides.\n";
    Answer { media_type: "text/plain; charset=utf-8", ..Answer::json(200, "page", text.as_bytes().to_vec()) }
}
