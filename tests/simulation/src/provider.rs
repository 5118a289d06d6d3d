//! The providers' side of calls: limits, tokens, outages, and answers of every kind.

use crate::random::Random;
use crate::story::{Kind, Road, Truth, body};
use idv_core::budget::Window;
use idv_core::http::Received;
use idv_core::secret::Secret;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::time::{Instant, Span};
use idv_core::token::{Issued, Standing};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// Shufti's secret key.
pub(crate) const SECRET: &str = "secret-key-of-the-simulation";

/// Calls in [`MINUTE`] that ShareID and Shufti let in.
pub(crate) const LIMITS: [u32; 2] = [120, 60];

/// The window of [`LIMITS`].
pub(crate) const MINUTE: Span = Span::mins(1);

/// What goes wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    TooMany,
    TooManyUntilADate,
    ServerError,
    Unavailable,
    ProxyTimeOut,
    Redirect,
    Unauthorized,
    Truncated,
    NotJson,
    WronglySigned,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::TooMany,
        Self::TooManyUntilADate,
        Self::ServerError,
        Self::Unavailable,
        Self::ProxyTimeOut,
        Self::Redirect,
        Self::Unauthorized,
        Self::Truncated,
        Self::NotJson,
        Self::WronglySigned,
    ];

    pub(crate) fn draw(random: &mut Random) -> Self {
        let faults = Self::ALL.len() as u64;
        let drawn = Self::ALL.get(random.below(faults) as usize).copied().unwrap_or(Self::ServerError);
        // These close a door to everybody, or end a token for everybody: as rare as they are dear.
        let is_dear =
            matches!(drawn, Self::TooMany | Self::TooManyUntilADate | Self::Unavailable | Self::Unauthorized);
        if is_dear && !random.happens(50) { Self::ServerError } else { drawn }
    }
}

/// The two providers as one process' accounts see them.
pub(crate) struct Providers {
    /// Of each kind of account: tokens by number.
    tokens: [BTreeMap<u64, Issued>; 4],
    last_token: u64,
    windows: [Window; 2],
    /// Until when each provider answers every call as it did the one that closed its door.
    closed: [Option<(u64, u16)>; 2],
    secret: Secret,
}

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asks {
    Token,
    /// The state of a verification, which is this now.
    State(u32, Truth),
    /// The state of a verification that the provider does not show to these credentials.
    Poisoned,
}

/// What a call was answered.
pub(crate) struct Said {
    pub(crate) answer: Received,
    /// It states the truth, and nothing is wrong with it.
    pub(crate) is_clean: bool,
    /// The call went beyond the limit.
    pub(crate) is_limited: bool,
    /// For how long calls are to stay away, from when this is read.
    pub(crate) closes: Option<u64>,
    /// Until when they are to stay away.
    pub(crate) closes_until: Option<u64>,
    /// Its token was over, or used before.
    pub(crate) misused: bool,
}

impl Providers {
    pub(crate) fn new() -> Self {
        Self {
            tokens: [const { BTreeMap::new() }; 4],
            last_token: 0,
            windows: [Window::new(); 2],
            closed: [None; 2],
            secret: SECRET.into(),
        }
    }

    /// Somebody else makes so many calls from the same address now.
    pub(crate) fn others_call(&mut self, door: usize, calls: u64, now: u64) {
        if let (Some(window), Some(limit)) = (self.windows.get_mut(door), LIMITS.get(door)) {
            for _ in 0..calls {
                let _ = window.admit(*limit, MINUTE, Instant::from_millis(now + 1));
            }
        }
    }

    /// Answers a call that arrives now.
    pub(crate) fn answer(
        &mut self,
        kind: Kind,
        asks: Asks,
        authorization: Option<&str>,
        (now, unix_ms): (u64, u64),
        fault: Option<Fault>,
    ) -> Said {
        let at = Instant::from_millis(now + 1);
        let door = usize::from(!kind.is_shareid());
        let (window, limit) = (self.windows.get_mut(door), LIMITS.get(door));
        if let (Some(window), Some(limit)) = (window, limit)
            && let Err(rest) = window.admit(*limit, MINUTE, at)
        {
            let seconds = rest.as_millis().div_ceil(1_000);
            let mut said = self.refusal(429, Some(seconds.to_string()), b"{}");
            said.is_limited = true;
            said.closes = Some(u64::from(seconds) * 1_000);
            return said;
        }
        // Who was told to stay away is told so again.
        if let Some((until, status)) = self.closed.get(door).copied().flatten()
            && now < until
        {
            let seconds = (until - now).div_ceil(1_000);
            let mut said = self.refusal(status, Some(seconds.to_string()), b"{}");
            said.closes = Some(seconds * 1_000);
            return said;
        }
        let said = self.attended(kind, asks, authorization, (now, unix_ms), fault);
        let until = said.closes.map(|span| now + span).max(said.closes_until);
        if let (Some(closed), Some(until)) = (self.closed.get_mut(door), until) {
            *closed = Some((until, said.answer.status));
        }
        said
    }

    /// Answers a call that the limits let in.
    fn attended(
        &mut self,
        kind: Kind,
        asks: Asks,
        authorization: Option<&str>,
        (now, unix_ms): (u64, u64),
        fault: Option<Fault>,
    ) -> Said {
        let at = Instant::from_millis(now + 1);
        let tokens = self.tokens.get_mut(kind as usize);
        if let (Some(tokens), Asks::State(..) | Asks::Poisoned) = (tokens, asks)
            && kind != Kind::Confirming
        {
            let number = authorization.and_then(|field| field.strip_prefix("Bearer token-")?.parse().ok());
            let mut token = number.and_then(|number: u64| tokens.get_mut(&number));
            if let (Some(token), Some(Fault::Unauthorized)) = (&mut token, fault) {
                token.revoke(at);
            }
            let standing = token.map_or(Standing::Expired, |token| token.present(at));
            if standing != Standing::Valid {
                let mut said = self.refusal(401, None, br#"{"detail":"Invalid or expired token"}"#);
                said.misused = standing != Standing::Revoked;
                return said;
            }
        }
        match fault {
            None | Some(Fault::WronglySigned) => {}
            Some(Fault::TooMany) => {
                let mut said = self.refusal(429, Some("20".to_owned()), b"{}");
                said.closes = Some(20_000);
                return said;
            }
            Some(Fault::TooManyUntilADate) => {
                let seconds = unix_ms / 1_000 + 30;
                let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
                let mut said = self.refusal(429, Some(date), b"{}");
                // The client reads the date by whole seconds of its own.
                said.closes_until = Some(now + (seconds * 1_000 - unix_ms) - 1_000);
                return said;
            }
            Some(Fault::ServerError) => return self.refusal(500, None, b"{}"),
            Some(Fault::Unavailable) => {
                let mut said = self.refusal(503, Some("5".to_owned()), b"");
                said.closes = Some(5_000);
                return said;
            }
            Some(Fault::ProxyTimeOut) => {
                return self.refusal(524, None, b"<html><title>524: A timeout occurred</title></html>");
            }
            Some(Fault::Redirect) => return self.refusal(302, None, b""),
            Some(Fault::Unauthorized) => {
                return self.refusal(401, None, br#"{"event":"request.unauthorized"}"#);
            }
            Some(Fault::Truncated) => {
                return self.refusal(200, None, br#"{"reference":"kyc-eu-000001","event":"verifi"#);
            }
            Some(Fault::NotJson) => return self.refusal(200, None, b"<html>Welcome</html>"),
        }
        let body = match asks {
            Asks::Token => {
                self.last_token += 1;
                let token = self.last_token;
                let ttl = Span::mins(10);
                if let Some(tokens) = self.tokens.get_mut(kind as usize) {
                    tokens.retain(|_, token| token.standing(at) != Standing::Expired);
                    let issued = if kind.is_shareid() {
                        Issued::reusable(at, ttl)
                    } else {
                        Issued::single_use(at, ttl)
                    };
                    tokens.insert(token, issued);
                }
                let member = if kind.is_shareid() { "token" } else { "access_token" };
                Some(format!(r#"{{"{member}":"token-{token}"}}"#).into_bytes())
            }
            Asks::State(number, truth) => body(kind, number, truth, Road::Answer),
            Asks::Poisoned => return self.refusal(401, None, br#"{"event":"request.unauthorized"}"#),
        };
        let body = body.unwrap_or_else(|| br#"{"detail":"applicant not found"}"#.to_vec());
        let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        if !kind.is_shareid() {
            let secret = if fault.is_some() { &Secret::from("another") } else { &self.secret };
            headers.push(("signature".to_owned(), sign(Rule::After, secret, &body).into_bytes()));
        }
        // ShareID signs nothing, so nothing can be wrong with it.
        let is_clean = fault.is_none() || kind.is_shareid();
        let answer = Received { status: 200, headers, body };
        Said { answer, is_clean, is_limited: false, closes: None, closes_until: None, misused: false }
    }

    fn refusal(&self, status: u16, retry_after: Option<String>, body: &[u8]) -> Said {
        let field = retry_after.map(|value| ("retry-after".to_owned(), value.into_bytes()));
        let answer = Received { status, headers: field.into_iter().collect(), body: body.to_vec() };
        Said { answer, is_clean: false, is_limited: false, closes: None, closes_until: None, misused: false }
    }
}
