//! How a sandbox is set up.

use crate::scenario::Scenario;
use idv_core::secret::Secret;
use idv_core::shareid::contract as shareid;
use idv_core::shufti::contract as shufti;
use idv_core::shufti::signature::Rule;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

/// How a sandbox is set up. The default is both providers on free ports of the loopback interface, in real time, without faults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where ShareID listens; port 0 picks a free one.
    pub shareid_address: SocketAddr,
    /// Where Shufti listens; port 0 picks a free one.
    pub shufti_address: SocketAddr,
    /// Whether to listen, and to post callbacks, beyond this computer. The sandbox knows no real person, but its credentials are public.
    pub beyond_loopback: bool,
    /// How many times faster than in reality the providers' time runs: timelines, retries, lives of tokens, windows of rate limits.
    /// Only the 3000 ms that an answer to a callback may take stay what they are, for they are the receiver's time.
    pub time_factor: NonZeroU32,
    /// Who may call.
    pub credentials: Credentials,
    /// How Shufti signs. [`Rule::Either`] signs as [`Rule::After`] does.
    pub rule: Rule,
    /// Under which header name Shufti signs.
    pub signature_header: SignatureHeader,
    /// The scenarios that can be chosen beside the built-in ones; one of the same name replaces the built-in one.
    pub scenarios: Vec<Scenario>,
    /// The scenario of a verification that chooses none.
    pub default_scenario: String,
    /// The most calls of ShareID per window. Default: none, for ShareID documents no number.
    pub shareid_limit: Option<Limit>,
    /// The most calls of Shufti per window. Default: those of a production account.
    pub shufti_limit: Option<Limit>,
    /// How long a ShareID fetch token lives.
    pub shareid_token_ttl: Duration,
    /// How long a Shufti access token lives.
    pub shufti_token_ttl: Duration,
    /// Random misbehaviour.
    pub faults: Faults,
    /// Certificate chain and private key in PEM, for `https`. Default: none, plain `http`.
    pub tls: Option<Tls>,
    /// Certificates in PEM that are trusted when a callback is posted to `https`, in place of the public ones.
    pub callback_roots: Option<Vec<u8>>,
}

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Default for Config {
    fn default() -> Self {
        Self {
            shareid_address: LOOPBACK,
            shufti_address: LOOPBACK,
            beyond_loopback: false,
            time_factor: NonZeroU32::MIN,
            credentials: Credentials::default(),
            rule: Rule::After,
            signature_header: SignatureHeader::Signature,
            scenarios: Vec::new(),
            default_scenario: "accepted".to_owned(),
            shareid_limit: None,
            shufti_limit: Some(Limit {
                calls: shufti::CALLS_PRODUCTION,
                window: shufti::CALL_WINDOW.as_duration(),
            }),
            shareid_token_ttl: shareid::FETCH_TOKEN_TTL.as_duration(),
            shufti_token_ttl: shufti::ACCESS_TOKEN_TTL.as_duration(),
            faults: Faults::default(),
            tls: None,
            callback_roots: None,
        }
    }
}

/// The credentials that the sandbox accepts and signs with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// ShareID's `business_hash`.
    pub shareid_business_hash: Secret,
    /// ShareID's `api_key`.
    pub shareid_api_key: Secret,
    /// The bearer that ShareID's callbacks carry, as can be agreed with ShareID; none by default.
    pub shareid_callback_bearer: Option<Secret>,
    /// Shufti's client id.
    pub shufti_client_id: String,
    /// Shufti's secret key, which signs too.
    pub shufti_secret_key: Secret,
}

impl Default for Credentials {
    /// Credentials that everybody knows.
    fn default() -> Self {
        Self {
            shareid_business_hash: "sandbox-business-hash".into(),
            shareid_api_key: "sandbox-api-key".into(),
            shareid_callback_bearer: None,
            shufti_client_id: "sandbox-client-id".to_owned(),
            shufti_secret_key: "sandbox-secret-key".into(),
        }
    }
}

/// Under which name the signature travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureHeader {
    /// `Signature`, the documented one.
    #[default]
    Signature,
    /// `sp_signature`, the older one.
    SpSignature,
    /// Both, with the same value.
    Both,
}

impl SignatureHeader {
    /// The names, in lower case.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Signature => &[shufti::SIGNATURE_HEADER],
            Self::SpSignature => &[shufti::OLD_SIGNATURE_HEADER],
            Self::Both => &[shufti::SIGNATURE_HEADER, shufti::OLD_SIGNATURE_HEADER],
        }
    }
}

/// The most calls per window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Calls.
    pub calls: u32,
    /// Window, in the provider's time.
    pub window: Duration,
}

/// Random misbehaviour. The same seed gives the same faults to the same ids, whatever else happens meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Decides which calls and callbacks are struck.
    pub seed: u64,
    /// How many of a hundred callbacks are lost, late, overtaken by the next one, sent twice, replayed later, signed with a wrong key
    /// at first, or have their answer lost.
    pub callback_percent: u8,
    /// How many of a hundred answers to pulls and token requests are slow, cut off, lost, reset, 5xx or 524 with HTML.
    pub answer_percent: u8,
    /// How many of a hundred tokens die before their time.
    pub token_percent: u8,
    /// How long a slow body pauses in the middle, in real time.
    pub slow_body: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            callback_percent: 0,
            answer_percent: 0,
            token_percent: 0,
            slow_body: Duration::from_secs(2),
        }
    }
}

/// Certificate chain and private key, both in PEM.
#[derive(Clone)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Secret,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}
