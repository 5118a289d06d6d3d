//! What the providers say, as bytes: answers, callbacks, signatures. Written from their documents, not by our codecs.
//!
//! | word | Shufti | ShareID |
//! |---|---|---|
//! | `accepted`, `declined` | `verification.accepted`, `verification.declined` | a result without, with a reason |
//! | `pending`, `review`, `cancelled`, `timed out`, `deleted`, `changed` | the event of that meaning | – |
//! | `not ready` | `request.invalid` | `{"detail":"applicant not found"}` |

use super::scenario::{self, Answer, Asks, Callback, Provider};
use idv_core::engine::Account;
use idv_core::provider;
use idv_core::receipt;
use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::session::EvidencePolicy;
use idv_core::shareid::{self, Flow};
use idv_core::shufti::{
    self, AuthMode,
    signature::{Rule, sign},
};
use idv_core::time::Span;
use std::time::{Duration, UNIX_EPOCH};

/// Shufti's client id.
const CLIENT_ID: &str = "client-1";
/// Shufti's secret key.
const SECRET: &str = "secret-1";
/// `client-1:secret-1` for HTTP Basic.
const BASIC: &str = "Basic Y2xpZW50LTE6c2VjcmV0LTE=";
/// ShareID's credentials, as the body of a token request carries them.
const SHAREID_CREDENTIALS: &str = r#"{"business_hash":"hash-1","api_key":"key-1"}"#;

/// The provider's side of an account.
#[derive(Clone, Debug)]
pub struct Documents {
    spec: scenario::Account,
    rule: Rule,
}

/// What no event and no diagnosis may show (G10): the credentials above, and the beginnings of the tokens and bearers of stories.
pub const SECRETS: [&str; 8] = [SECRET, "hash-1", "key-1", "Basic ", "Bearer ", "tok-", "access-", "agreed-"];

/// A request as a story expects it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The path.
    pub path: &'static str,
    /// The field `authorization`.
    pub authorization: Option<String>,
    /// The body.
    pub body: String,
}

/// Header fields and a body.
#[derive(Clone, Debug)]
pub struct Message {
    /// The header fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Documents {
    /// Those of this account.
    ///
    /// # Errors
    /// The account's set-up is none.
    pub fn of(account: &scenario::Account) -> Result<Self, String> {
        let rule = match account.rule.as_deref() {
            None | Some("after") => Rule::After,
            Some("before") => Rule::Before,
            Some(other) => return Err(format!("`rule = \"{other}\"`: expected `before` or `after`")),
        };
        Ok(Self { spec: account.clone(), rule })
    }

    /// Our side of the account, at this base URL.
    ///
    /// # Errors
    /// The account cannot be used.
    pub fn account(&self, base_url: &str) -> Result<Account, String> {
        match self.spec.provider {
            Provider::Shufti => {
                let auth = if self.spec.access_token { AuthMode::AccessToken } else { AuthMode::Basic };
                let builder = shufti::Account::builder(CLIENT_ID, SECRET.into())
                    .base_url(base_url)
                    .rule(self.rule)
                    .auth(auth)
                    .require_signed_answers(self.spec.require_signed_answers);
                self.under_rules(builder.build().map_err(|error| error.to_string())?)
            }
            Provider::Shareid => {
                let account =
                    shareid::Account::new(base_url, Flow::Authenticate, "hash-1".into(), "key-1".into());
                let account = account.map_err(|error| error.to_string())?;
                self.under_rules(match &self.spec.bearer {
                    Some(bearer) => account
                        .with_callback_bearer(Secret::new(bearer.clone()))
                        .map_err(|error| error.to_string())?,
                    None => account,
                })
            }
        }
    }

    fn under_rules(&self, provider: impl provider::Provider + 'static) -> Result<Account, String> {
        let contract = provider.rules();
        let evidence =
            if self.spec.trust_signed { EvidencePolicy::TrustSigned } else { EvidencePolicy::ConfirmByPull };
        let calls = self.spec.calls.unwrap_or(100_000);
        let rules = Rules {
            cadence: self.cadence(),
            interval: self.spec.interval.unwrap_or(Span::hours(1)),
            deadline: self.spec.deadline.unwrap_or(Span::hours(20)),
            call_timeout: self.spec.call_timeout.unwrap_or(contract.call_timeout),
            token_ttl: self.spec.token_ttl.unwrap_or(contract.token_ttl),
            calls,
            window: self.spec.window.unwrap_or(Span::mins(1)),
            burst: self.spec.burst.unwrap_or(calls / 10),
            evidence,
            watch: self.spec.watch,
            audit: None,
            ..contract
        };
        let mut receipt = receipt::Policy::builder(provider.callback_body_cap());
        if let Some(within) = self.spec.answer_within {
            receipt = receipt.answer_within(within);
        }
        let receipt = receipt.build().map_err(|error| error.to_string())?;
        let account = Account::with_rules(provider, &rules).map_err(|error| error.to_string())?;
        Ok(account.with_receipt(receipt))
    }

    /// The least time between two pulls of one verification.
    #[must_use]
    pub fn cadence(&self) -> Span {
        self.spec.cadence.unwrap_or(Span::millis(40))
    }

    /// The request that asks for this.
    #[must_use]
    pub fn request(&self, asks: &Asks, with: Option<&str>) -> Expected {
        let bearer = with.map(|token| format!("Bearer {token}"));
        match (self.spec.provider, asks) {
            (Provider::Shufti, Asks::Token) => Expected {
                path: "/get/access/token",
                authorization: Some(BASIC.to_owned()),
                body: String::new(),
            },
            (Provider::Shufti, Asks::Pull(id)) => Expected {
                path: "/status",
                authorization: if self.spec.access_token { bearer } else { Some(BASIC.to_owned()) },
                body: format!(r#"{{"reference":"{id}"}}"#),
            },
            (Provider::Shareid, Asks::Token) => Expected {
                path: "/flow/authenticate/fetch/auth/business",
                authorization: None,
                body: SHAREID_CREDENTIALS.to_owned(),
            },
            (Provider::Shareid, Asks::Pull(id)) => Expected {
                path: "/flow/authenticate/fetch",
                authorization: bearer,
                body: format!(r#"{{"flow_id":"{id}"}}"#),
            },
        }
    }

    /// What this word means to an adapter.
    ///
    /// # Errors
    /// No provider says this.
    pub fn means(&self, word: &str) -> Result<&'static str, String> {
        Ok(match (self.spec.provider, word) {
            (_, "accepted") => "accepted",
            (_, "declined") => "declined",
            (Provider::Shufti, "pending") => "nothing yet",
            (Provider::Shufti, "review") => "review_pending",
            (Provider::Shufti, "cancelled") => "cancelled",
            (Provider::Shufti, "timed out") => "timed_out",
            (Provider::Shufti, "deleted") => "deleted",
            (Provider::Shufti, "not ready") => "invalid",
            (Provider::Shareid, "not ready") => "not ready",
            (_, other) => return Err(format!("the provider does not say `{other}`")),
        })
    }

    /// The body that says it about `id`.
    ///
    /// # Errors
    /// No provider says this.
    fn body(&self, id: &str, word: &str) -> Result<String, String> {
        let event = |event: &str, more: &str| format!(r#"{{"reference":"{id}","event":"{event}"{more}}}"#);
        Ok(match (self.spec.provider, word) {
            (Provider::Shufti, "accepted") => {
                event("verification.accepted", r#","verification_result":{"document":{"document":1}}"#)
            }
            (Provider::Shufti, "declined") => {
                let more =
                    r#","declined_codes":["SPDR06"],"services_declined_codes":{"document":["SPDR06"]}"#;
                event("verification.declined", more)
            }
            (Provider::Shufti, "pending") => event("request.pending", ""),
            (Provider::Shufti, "review") => event("review.pending", ""),
            (Provider::Shufti, "cancelled") => event("verification.cancelled", ""),
            (Provider::Shufti, "timed out") => event("request.timeout", ""),
            (Provider::Shufti, "deleted") => event("request.deleted", ""),
            (Provider::Shufti, "changed") => event("verification.status.changed", ""),
            (Provider::Shufti, "not ready") => event("request.invalid", ""),
            (Provider::Shareid, "accepted") => format!(r#"{{"flow_id":"{id}","reasons":[]}}"#),
            (Provider::Shareid, "declined") => format!(r#"{{"flow_id":"{id}","reasons":["doc_expired"]}}"#),
            (Provider::Shareid, "not ready") => r#"{"detail":"applicant not found"}"#.to_owned(),
            (_, other) => return Err(format!("the provider does not say `{other}`")),
        })
    }

    /// The header fields and body of an answer to what was asked at this time.
    ///
    /// # Errors
    /// No provider says this.
    pub fn answer(&self, asks: &Asks, answer: &Answer, unix_ms: u64) -> Result<Message, String> {
        let body = match (&answer.body, &answer.says, asks) {
            (Some(body), _, _) => body.clone(),
            (None, Some(token), Asks::Token) => match self.spec.provider {
                Provider::Shufti => format!(r#"{{"access_token":"{token}"}}"#),
                Provider::Shareid => format!(r#"{{"token":"{token}"}}"#),
            },
            (None, Some(word), Asks::Pull(id)) => self.body(id, word)?,
            (None, None, _) => String::new(),
        };
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in &answer.headers {
            fields.push((name.to_ascii_lowercase(), dated(value, unix_ms)?));
        }
        if !fields.iter().any(|(name, _)| name == "content-type") {
            fields.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if self.spec.provider == Provider::Shufti && answer.says.is_some() {
            match answer.signed.as_deref() {
                None => fields.push(("signature".to_owned(), self.signature(self.rule, SECRET, &body))),
                Some("wrong") => {
                    fields.push(("signature".to_owned(), self.signature(self.rule, "another", &body)));
                }
                Some("no") => {}
                Some(other) => return Err(format!("`signed = \"{other}\"`: expected `no` or `wrong`")),
            }
        }
        Ok(Message { fields, body: body.into_bytes() })
    }

    /// The header fields and body of a callback.
    ///
    /// # Errors
    /// No provider says this.
    pub fn callback(&self, callback: &Callback) -> Result<Message, String> {
        let body = match &callback.body {
            Some(body) => body.clone(),
            None => self.body(&callback.id, &callback.says)?,
        };
        let mut fields = vec![("content-type".to_owned(), "application/json".to_owned())];
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        match (self.spec.provider, callback.signed.as_deref()) {
            (Provider::Shufti, None) => add("signature", self.signature(self.rule, SECRET, &body)),
            (Provider::Shufti, Some("before")) => {
                add("signature", self.signature(Rule::Before, SECRET, &body));
            }
            (Provider::Shufti, Some("after")) => {
                add("signature", self.signature(Rule::After, SECRET, &body));
            }
            (Provider::Shufti, Some("forged")) => {
                add("signature", self.signature(self.rule, "guessed", &body))
            }
            (Provider::Shareid, None) => {
                if let Some(bearer) = &self.spec.bearer {
                    add("authorization", format!("Bearer {bearer}"));
                }
            }
            (Provider::Shareid, Some("forged")) => add("authorization", "Bearer guessed".to_owned()),
            (_, Some("no")) => {}
            (_, Some(other)) => return Err(format!("`signed = \"{other}\"` means nothing to this provider")),
        }
        Ok(Message { fields, body: body.into_bytes() })
    }

    fn signature(&self, rule: Rule, secret: &str, body: &str) -> String {
        sign(rule, &Secret::from(secret), body.as_bytes())
    }
}

/// Replaces `{date+3s}` by the date that is so far ahead.
fn dated(value: &str, unix_ms: u64) -> Result<String, String> {
    let Some(ahead) = value.strip_prefix("{date+").and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(value.to_owned());
    };
    let ahead = humantime::parse_duration(ahead).map_err(|error| format!("`{value}`: {error}"))?;
    Ok(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(unix_ms) + ahead))
}
