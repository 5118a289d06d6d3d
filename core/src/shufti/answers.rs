//! A typed view of everything that Shufti Pro sends: answers to calls and callbacks have one shape.
//!
//! It borrows from the body and never fails on a value of the wrong type (R19). Parameters that it has no method for are in
//! [`Document::others`].
//!
//! Source of the parameters: developers.shuftipro.com, questionnaire, responses; the oddities were seen in recorded answers.

use super::contract;
use super::event::Event;
use crate::evidence::ContentDigest;
use crate::json::{Body, Content, Kind, Object, Value};
use crate::provider::{Reason, Unreadable};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One answer or callback.
pub struct Document<'a> {
    object: Object<'a>,
    unreadable: Option<Unreadable>,
}

impl<'a> Document<'a> {
    /// Reads a body. Where it is unreadable, what stands before the fault is there all the same.
    #[must_use]
    pub fn read(body: &'a Body<'_>) -> Self {
        let reading = body.object(&contract::UNREPEATABLE);
        Self { object: reading.object, unreadable: reading.unreadable }
    }

    /// Why the body could not be read to its end.
    #[must_use]
    pub fn unreadable(&self) -> Option<&Unreadable> {
        self.unreadable.as_ref()
    }

    /// The request's own id, as given when it was created. `None` where it is missing, empty or given twice.
    #[must_use]
    pub fn reference(&self) -> Option<Cow<'a, str>> {
        self.object.get_unrepeated("reference")?.nonempty_text()
    }

    /// The provider's event word. `None` where it is missing, empty or given twice.
    #[must_use]
    pub fn event_word(&self) -> Option<Cow<'a, str>> {
        self.object.get_unrepeated("event")?.nonempty_text()
    }

    /// The event; `None` also for a word we do not know.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        Event::parse(&self.event_word()?)
    }

    /// What is wrong with the call. Also sent as `""` where nothing is.
    #[must_use]
    pub fn error(&self) -> Option<CallError<'a>> {
        let error = self.object.get("error").filter(|error| !error.is_empty())?;
        Some(CallError(error))
    }

    /// The request's token.
    #[must_use]
    pub fn token(&self) -> Option<Cow<'a, str>> {
        self.text("token")
    }

    /// Where the person goes to be verified.
    #[must_use]
    pub fn verification_url(&self) -> Option<Cow<'a, str>> {
        self.text("verification_url")
    }

    /// The person's e-mail address.
    #[must_use]
    pub fn email(&self) -> Option<Cow<'a, str>> {
        self.text("email")
    }

    /// The person's country, mostly in two letters, not always an ISO code (`UK`).
    #[must_use]
    pub fn country(&self) -> Option<Cow<'a, str>> {
        self.text("country")
    }

    /// The client's own id of the person (1:1 authentication).
    #[must_use]
    pub fn customer_unique_id(&self) -> Option<Cow<'a, str>> {
        self.text("customer_unique_id")
    }

    /// Why it was declined, in words. Documented for callbacks only, yet seen in answers too.
    #[must_use]
    pub fn declined_reason(&self) -> Option<Cow<'a, str>> {
        self.text("declined_reason")
    }

    /// The result of every check, service by service. A service that has one result and no checks (`"face": 1`) is a check of its own
    /// name, for the same result also comes as `"face": {"face": 1}`.
    pub fn verification_result(&self) -> impl Iterator<Item = CheckResult<'a>> {
        let services = self.object.get("verification_result").into_iter().flat_map(Value::members);
        services.flat_map(|(service, value)| {
            let bare = (value.kind() != Kind::Object).then(|| CheckResult {
                service: service.clone(),
                check: service.clone(),
                value,
            });
            let checks = value.members().map(move |(check, value)| CheckResult {
                service: service.clone(),
                check,
                value,
            });
            bare.into_iter().chain(checks)
        })
    }

    /// What was gathered about the person: service by service, each mostly an object. Nothing for `[]`.
    pub fn verification_data(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        self.object.get("verification_data").into_iter().flat_map(Value::members)
    }

    /// The person's device and browser.
    #[must_use]
    pub fn agent(&self) -> Option<Agent<'a>> {
        self.object.get("info")?.get("agent").filter(|agent| !agent.is_empty()).map(Agent)
    }

    /// Where the person's network address lies.
    #[must_use]
    pub fn geolocation(&self) -> Option<Geolocation<'a>> {
        self.object.get("info")?.get("geolocation").filter(|place| !place.is_empty()).map(Geolocation)
    }

    /// What was read from the documents beyond the data asked for: service, proof, then names and texts.
    pub fn additional_data(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        self.object.get("additional_data").into_iter().flat_map(Value::members)
    }

    /// The declined codes, in their order, which means nothing.
    pub fn declined_codes(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let codes = self.object.get("declined_codes").into_iter().flat_map(Value::elements);
        codes.filter_map(Value::nonempty_text)
    }

    /// The declined codes with their services. They need not be the same codes as [`Document::declined_codes`].
    pub fn services_declined_codes(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let services = self.object.get("services_declined_codes").into_iter().flat_map(Value::members);
        services.flat_map(|(service, codes)| {
            codes.elements().filter_map(Value::nonempty_text).map(move |code| (service.clone(), code))
        })
    }

    /// Images and videos, mostly as URLs that expire; texts such as `access_token` beside objects. Called `proof` in 2019.
    pub fn proofs(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        let proofs = self.object.get("proofs").or_else(|| self.object.get("proof"));
        proofs.into_iter().flat_map(Value::members)
    }

    /// Warnings, service by service.
    pub fn warnings(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        self.object.get("warnings").into_iter().flat_map(Value::members)
    }

    /// Every member of the body that this view has no method for.
    pub fn others(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + '_ {
        self.object.iter().filter(|(name, _)| !KNOWN.contains(&name.as_ref()))
    }

    /// Every member of the body as it came, known or not.
    #[must_use]
    pub const fn object(&self) -> &Object<'a> {
        &self.object
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.object.get(name)?.nonempty_text()
    }

    /// Every reason the body gives, each once: declined codes with each service that has them, then codes that only a service has, the
    /// words of `declined_reason`, and what is wrong with a call (R18).
    ///
    /// The words stand with the code where there is only one; else with no code, for they name none.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = Vec::new();
        let mut add = |code: Cow<'_, str>, service: Option<Cow<'_, str>>| {
            let known =
                |reason: &Reason| reason.code == code && reason.service.as_deref() == service.as_deref();
            if !reasons.iter().any(known) {
                let technical = contract::TECHNICAL_CODES.contains(&code.as_ref());
                let (code, service) = (code.into_owned(), service.map(Cow::into_owned));
                reasons.push(Reason { code, text: None, service, technical });
            }
        };
        for code in self.declined_codes() {
            let mut services = self.services_declined_codes().filter(|(_, other)| *other == code).peekable();
            if services.peek().is_none() {
                add(code, None);
            } else {
                services.for_each(|(service, code)| add(code, Some(service)));
            }
        }
        for (service, code) in self.services_declined_codes() {
            add(code, Some(service));
        }
        if let Some(words) = self.declined_reason() {
            let text = Some(words.into_owned());
            match reasons.as_mut_slice() {
                [only] => only.text = text,
                _ => reasons.push(Reason { code: String::new(), text, service: None, technical: false }),
            }
        }
        if let Some(error) = self.error() {
            reasons.push(Reason {
                code: error.key().unwrap_or_default().into_owned(),
                text: error.message().map(Cow::into_owned),
                service: error.service().map(Cow::into_owned),
                technical: true,
            });
        }
        reasons
    }

    /// The digest of what a revision is made of (R5): event, results, data, and codes in a fixed order.
    ///
    /// Not `proofs`, URLs, tokens, `info`, `email` and `country`. Not `additional_data`: recorded answers to `/status` lack it. The
    /// words of `declined_reason` count only where there are no codes, for the documents promise them in callbacks only.
    #[must_use]
    pub fn content(&self) -> ContentDigest {
        let mut content = Content::new("shufti");
        let word = self.event_word().unwrap_or_default();
        match Event::parse(&word) {
            Some(event) => content.text(event.as_str()),
            None => content.text(&word),
        }

        let results = self.verification_result().filter(|result| !result.value.is_empty());
        content.set(results, |content, result| {
            content.text(&result.service);
            content.text(&result.check);
            content.value(Some(result.value));
        });

        content.value(self.object.get("verification_data"));

        let plain = self.declined_codes().map(|code| (Cow::Borrowed(""), code));
        let mut has_codes = false;
        content.set(plain.chain(self.services_declined_codes()), |content, (service, code)| {
            has_codes = true;
            content.text(&service);
            content.text(&code);
        });
        if !has_codes {
            content.value(self.object.get("declined_reason"));
        }
        content.finish()
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("event", &self.event())
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}

/// The members that [`Document`] has methods for.
const KNOWN: [&str; 18] = [
    "reference",
    "event",
    "error",
    "token",
    "verification_url",
    "email",
    "country",
    "customer_unique_id",
    "declined_reason",
    "verification_result",
    "verification_data",
    "info",
    "additional_data",
    "declined_codes",
    "services_declined_codes",
    "proofs",
    "proof",
    "warnings",
];

/// What is wrong with a call.
#[derive(Clone, Copy, Debug)]
pub struct CallError<'a>(Value<'a>);

impl<'a> CallError<'a> {
    /// The service that the fault lies in.
    #[must_use]
    pub fn service(self) -> Option<Cow<'a, str>> {
        self.0.get("service")?.nonempty_text()
    }

    /// The parameter that is wrong.
    #[must_use]
    pub fn key(self) -> Option<Cow<'a, str>> {
        self.0.get("key")?.nonempty_text()
    }

    /// The provider's words, the first of several. Of an error that is a list, or a text instead of an object, that text.
    #[must_use]
    pub fn message(self) -> Option<Cow<'a, str>> {
        let words = if self.0.kind() == Kind::Object { self.0.get("message")? } else { self.0 };
        words.elements().find_map(Value::nonempty_text)
    }
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct CheckResult<'a> {
    /// The service: `document`, `face`, `address`, ….
    pub service: Cow<'a, str>,
    /// The check; the service's own name where the service has one result only.
    pub check: Cow<'a, str>,
    /// The result as sent.
    pub value: Value<'a>,
}

impl CheckResult<'_> {
    /// What the result means; `None` for values we do not know.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        match self.value.flag() {
            Some(true) => Some(Mark::Accepted),
            Some(false) => Some(Mark::Declined),
            None if self.value.is_empty() => Some(Mark::NotProcessed),
            None => None,
        }
    }
}

/// What the result of a check means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mark {
    /// `1`: accepted.
    Accepted,
    /// `0`: declined.
    Declined,
    /// `null`, also sent as `""`: not processed. Such a check can stand beside an accepted verification.
    NotProcessed,
}

macro_rules! text_members {
    ($view:ident { $($name:ident: $meaning:literal,)* }) => {
        impl<'a> $view<'a> {
            $(
                #[doc = $meaning]
                #[must_use]
                pub fn $name(self) -> Option<Cow<'a, str>> {
                    self.0.get(stringify!($name))?.nonempty_text()
                }
            )*

            /// Every member as it came, known or not.
            pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
                self.0.members()
            }
        }
    };
}

/// The person's device and browser. Texts that are `""` count as missing; other placeholders (`"0"`, `" "`) are kept.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a>(Value<'a>);

impl Agent<'_> {
    /// Whether it is a desktop computer.
    #[must_use]
    pub fn is_desktop(self) -> Option<bool> {
        self.0.get("is_desktop")?.flag()
    }

    /// Whether it is a telephone.
    #[must_use]
    pub fn is_phone(self) -> Option<bool> {
        self.0.get("is_phone")?.flag()
    }
}

text_members!(Agent {
    useragent: "The browser's `User-Agent`.",
    device_name: "The device.",
    browser_name: "The browser.",
    platform_name: "The operating system.",
});

/// Where the person's network address lies. Numbers come as texts.
#[derive(Clone, Copy, Debug)]
pub struct Geolocation<'a>(Value<'a>);

text_members!(Geolocation {
    host: "The host's name.",
    ip: "The network address.",
    rdns: "The address's name by reverse look-up.",
    asn: "The number of the autonomous system.",
    isp: "The internet service provider.",
    country_name: "The country.",
    country_code: "The country's code.",
    region_name: "The region.",
    region_code: "The region's code.",
    city: "The city.",
    postal_code: "The postal code.",
    continent_name: "The continent.",
    continent_code: "The continent's code.",
    latitude: "The latitude in degrees.",
    longitude: "The longitude in degrees.",
    metro_code: "The metropolitan area's code.",
    timezone: "The time zone's name.",
    ip_type: "`ipv4` or `ipv6`; since 2021.",
    capital: "The country's capital; since 2021.",
    currency: "The country's currency; since 2021.",
});
