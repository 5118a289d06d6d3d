//! ShareID's endpoints. What its documents leave open (the answers to bad calls) is answered in the style of the framework that the
//! documented `detail` member belongs to.

use super::{Answer, Call, SCENARIO_HEADER, is_allowed};
use crate::bodies;
use crate::scenario::Provider;
use crate::world::{Opening, Product, World};
use idv_core::lifecycle::Channel;
use idv_core::shareid::contract::{CADENCE, Flow};
use idv_listener::Method;
use serde_json::{Map, Value, json};

const fn product(flow: Flow) -> Product {
    match flow {
        Flow::Onboarding => Product::Onboarding,
        Flow::Authenticate => Product::Authenticate,
    }
}

fn detail(status: u16, detail: &str) -> Answer {
    Answer::json(status, detail, bodies::compact(&json!({"detail": detail})))
}

pub(crate) fn answer(world: &mut World, call: Call<'_>) -> Answer {
    for flow in [Flow::Onboarding, Flow::Authenticate] {
        if call.path == flow.fetch_path()
            && let Some(id) = call.member(flow.id_member())
            && world.breaks_off(Provider::Shareid, &id)
        {
            return Answer::unread(&id);
        }
    }
    if let Err(wait) = world.admit(Provider::Shareid) {
        let mut answer = detail(429, "Too Many Requests");
        answer.retry_after = Some(wait);
        return answer;
    }
    for flow in [Flow::Onboarding, Flow::Authenticate] {
        let endpoint: fn(&mut World, Flow, Call<'_>, &Map<String, Value>) -> Answer = match call.path {
            path if path == flow.fetch_path() => fetch,
            path if path == flow.fetch_token_path() => fetch_token,
            path if path == flow.start_path() => start,
            _ => continue,
        };
        if *call.method != Method::POST {
            return detail(405, "Method Not Allowed");
        }
        return match serde_json::from_slice(call.body) {
            Ok(Value::Object(body)) => endpoint(world, flow, call, &body),
            Ok(_) | Err(_) => unprocessable(world, "body", "a JSON object is expected"),
        };
    }
    detail(404, "Not Found")
}

fn unprocessable(world: &mut World, member: &str, problem: &str) -> Answer {
    world.statistics.shareid.invalid += 1;
    let body = json!({"detail": [{"loc": ["body", member], "msg": problem, "type": "value_error"}]});
    Answer::json(422, format!("`{member}`: {problem}"), bodies::compact(&body))
}

fn text<'a>(body: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    body.get(member)?.as_str().filter(|text| !text.is_empty())
}

/// Whether the body carries the account's credentials; the answer if not.
fn refuse(world: &mut World, body: &Map<String, Value>) -> Option<Answer> {
    let (Some(hash), Some(key)) = (text(body, "business_hash"), text(body, "api_key")) else {
        return Some(unprocessable(world, "business_hash, api_key", "field required"));
    };
    let credentials = &world.config.credentials;
    let right = credentials.shareid_business_hash == hash.into() && credentials.shareid_api_key == key.into();
    if right {
        return None;
    }
    world.statistics.shareid.unauthorized += 1;
    Some(detail(401, "Invalid credentials"))
}

fn fetch_token(world: &mut World, flow: Flow, _: Call<'_>, body: &Map<String, Value>) -> Answer {
    if let Some(refusal) = refuse(world, body) {
        return refusal;
    }
    let token = world.issue(product(flow));
    let fault = world.random_fault(flow.fetch_token_path());
    Answer::json(200, "token", bodies::compact(&json!({"token": token}))).struck_by(fault)
}

fn start(world: &mut World, flow: Flow, call: Call<'_>, body: &Map<String, Value>) -> Answer {
    if let Some(refusal) = refuse(world, body) {
        return refusal;
    }
    let callback = match body.get("callback") {
        None | Some(Value::Null) => None,
        Some(Value::String(url)) if is_allowed(url, world.config.beyond_loopback) => Some(url.clone()),
        Some(_) => {
            return unprocessable(
                world,
                "callback",
                "an http or https URL is expected, of this computer unless the sandbox may go beyond it",
            );
        }
    };
    let flag = |member: &str| body.get(member).and_then(Value::as_bool).unwrap_or(false);
    let customer_data = body.get("customer_data").cloned();
    let wished = call
        .field(SCENARIO_HEADER)
        .or_else(|| customer_data.as_ref()?.get("scenario")?.as_str())
        .map(|name| world.scenario(Provider::Shareid, name));
    let images = flag("callback_with_document_capture");
    let applicant = text(body, "applicant_id").map(str::to_owned);
    let (scenario, applicant, id) = match flow {
        Flow::Onboarding => {
            if !matches!(customer_data, Some(Value::Object(_))) {
                return unprocessable(world, "customer_data", "an object is required");
            }
            (wished, None, format!("ap-sandbox-{}", world.unique()))
        }
        Flow::Authenticate => {
            let Some(applicant) = applicant else {
                return unprocessable(world, "applicant_id", "field required");
            };
            let wished = wished.or_else(|| world.scenario_in(Provider::Shareid, &applicant).map(Some));
            (wished, Some(applicant), format!("flow-sandbox-{}", world.unique()))
        }
    };
    let Some(scenario) = scenario.unwrap_or_else(|| world.default_scenario(Provider::Shareid)) else {
        return unprocessable(world, "scenario", "the sandbox has no scenario of this name");
    };
    let opening = Opening { applicant, callback, customer_data, images, ..Opening::default() };
    world.open(product(flow), &id, scenario, opening);
    let token = world.unique();
    let body = json!({"token": token, flow.id_member(): id});
    Answer::json(200, "started", bodies::compact(&body)).about(&id)
}

fn unauthorized(world: &mut World, why: &str) -> Answer {
    world.statistics.shareid.unauthorized += 1;
    Answer { said: why.to_owned(), ..detail(401, "Invalid or expired token") }
}

fn fetch(world: &mut World, flow: Flow, call: Call<'_>, body: &Map<String, Value>) -> Answer {
    let Some(token) = call.authorization("bearer") else { return unauthorized(world, "no token") };
    if let Err(why) = world.present(token, product(flow)) {
        return unauthorized(world, why);
    }
    let Some(id) = text(body, flow.id_member()) else {
        return unprocessable(world, flow.id_member(), "field required");
    };
    world.statistics.shareid.pulls += 1;
    let cadence = world.paced(CADENCE.as_duration());
    let now = world.now();
    let found = world.find(Provider::Shareid, id);
    let not_ready = Answer::json(200, "not ready", bodies::shareid_not_ready()).about(id);
    let Some(verification) = found.and_then(|index| world.verifications.get_mut(index)) else {
        return not_ready;
    };
    if verification.product != product(flow) {
        return not_ready;
    }
    // A call that is on time by its sender's clock may be early by a rounded millisecond here.
    let too_soon =
        verification.last_pull.is_some_and(|last| u128::from(now.since(last)) + 2 < cadence.as_millis());
    verification.last_pull = Some(now);
    let scripted = verification.scripted_fault();
    verification.pulls += 1;
    let late = verification.not_ready > 0 && verification.truth.is_some();
    if late {
        verification.not_ready -= 1;
    }
    let truth = if late { None } else { verification.truth.clone() };
    world.statistics.shareid.pulls_too_soon += u64::from(too_soon);
    let fault = scripted.or_else(|| world.random_fault(id));
    let verification = found.and_then(|index| world.verifications.get(index));
    let (Some(truth), Some(verification)) = (truth, verification) else { return not_ready.struck_by(fault) };
    let body = world.body(verification, &truth, Channel::Status);
    world.statistics.shareid.answered_pulls += 1;
    Answer::json(200, truth.event, body).about(id).struck_by(fault)
}
