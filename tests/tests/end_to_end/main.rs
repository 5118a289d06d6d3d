//! The blocking driver against the sandbox over loopback sockets: both providers, both roads, their faults and ours. The providers' time
//! runs faster by a factor, the driver's clock leaps; no test waits for a real schedule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs, clippy::wildcard_enum_match_arm)]

mod crashes;
mod endings;
mod pulls;
mod roads;
mod storage;

use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::shareid::{self, Flow};
use idv_core::shufti;
use idv_core::shufti::signature::{Rule, sign};
use idv_sandbox::{Config, Create, Product, Provider, Sandbox, Scenario, Step};
use idv_tests::driving::{Application, account, quick};
use idv_tests::wire::{self, Reply};
use idv_ureq::{AccountRef, Builder, Event, Verification};
use std::net::SocketAddr;
use std::time::Duration;

/// The key that the sandbox signs with.
const KEY: &str = "sandbox-secret-key";

fn shufti_account(url: &str) -> shufti::Account {
    let builder = shufti::Account::builder("sandbox-client-id", KEY.into()).base_url(url);
    builder.require_signed_answers(true).build().unwrap()
}

fn shareid_account(url: &str, flow: Flow) -> shareid::Account {
    shareid::Account::new(url, flow, "sandbox-business-hash".into(), "sandbox-api-key".into()).unwrap()
}

/// A sandbox whose time runs this much faster, without a limit of calls. In its scenario `quiet` a Shufti verification is pending, and no
/// callback says so.
fn config(time_factor: u32) -> Config {
    let quiet = Scenario::new(Provider::Shufti, "quiet", vec![now("request.pending").lost()]);
    let time_factor = time_factor.try_into().unwrap();
    Config { time_factor, shufti_limit: None, scenarios: vec![quiet], ..Config::default() }
}

/// Both providers, a driver with an account at each, and its listener.
struct World {
    application: Application,
    shufti: AccountRef,
    authenticate: AccountRef,
    address: SocketAddr,
    scheme: &'static str,
    sandbox: Sandbox,
}

impl World {
    /// In real time at the providers: nothing happens by itself.
    fn new() -> Self {
        Self::with(config(1), |rules| rules, |_| ())
    }

    fn with(config: Config, change: impl Fn(Rules) -> Rules, setup: impl FnOnce(&mut Builder)) -> Self {
        let sandbox = Sandbox::start(config).unwrap();
        let shufti = shufti_account(sandbox.shufti_url());
        let authenticate = shareid_account(sandbox.shareid_url(), Flow::Authenticate);
        let (application, (shufti, authenticate)) = Application::start(|builder| {
            builder.drain(Duration::from_secs(1));
            setup(builder);
            let (shufti_rules, shareid_rules) = (change(quick(&shufti)), change(quick(&authenticate)));
            (
                builder.account(account(shufti, &shufti_rules)),
                builder.account(account(authenticate, &shareid_rules)),
            )
        });
        let paths = [("/callbacks/shufti", shufti), ("/callbacks/shareid", authenticate)];
        let address = application.driver.listen("127.0.0.1:0".parse().unwrap(), &paths).unwrap();
        Self { application, shufti, authenticate, address, scheme: "http", sandbox }
    }

    fn open(&self, product: Product, scenario: &str, id: &str) -> Verification {
        let provider = product.provider();
        let callback = format!("{}://{}/callbacks/{}?tx=1", self.scheme, self.address, provider.as_str());
        self.sandbox.create(Create::new(product).id(id).scenario(scenario).callback(callback)).unwrap();
        let account = match provider {
            Provider::Shufti => self.shufti,
            Provider::Shareid => self.authenticate,
        };
        self.application.driver.open(account, id).unwrap()
    }

    fn shufti(&self, scenario: &str, id: &str) -> Verification {
        self.open(Product::Shufti, scenario, id)
    }

    fn shareid(&self, scenario: &str, id: &str) -> Verification {
        self.open(Product::Authenticate, scenario, id)
    }

    /// Lets something happen at the provider; its callback is delivered unless `step` says otherwise.
    fn happen(&self, provider: Provider, id: &str, step: &Step) {
        self.sandbox.happen(provider, id, step).unwrap();
    }

    /// Waits for the end of this pull of this verification.
    fn pulled(&self, id: &str, from: u32) -> u32 {
        self.application.event(|event| match event {
            Event::Pulled { id: pulled, op, .. } if &*pulled == id && op >= from => Some(op),
            _ => None,
        })
    }

    /// Waits until nothing more is due soon for this verification.
    fn quiet(&self, verification: Verification) {
        loop {
            let status = self.application.driver.status(verification).unwrap().unwrap();
            let soon = status.next_pull.is_some_and(|next| next < Duration::from_secs(5));
            if !status.pulling && !soon && status.verdict.is_some() {
                return;
            }
            self.application.event(|event| matches!(event, Event::Pulled { .. }).then_some(()));
        }
    }

    fn post_shufti(&self, body: &str) -> Reply {
        wire::send(self.address, &signed(body))
    }
}

/// A Shufti callback, rightly signed.
fn signed(body: &str) -> Vec<u8> {
    let signature = sign(Rule::After, &Secret::from(KEY), body.as_bytes());
    let fields = [("content-type", "application/json"), ("signature", &signature)];
    wire::request("POST", "/callbacks/shufti", &fields, body.as_bytes())
}

fn now(event: &str) -> Step {
    Step::new(Duration::ZERO, event)
}

const ACCEPTED: &str = "verification.accepted";
const DECLINED: &str = "verification.declined";
const CHANGED: &str = "verification.status.changed";
