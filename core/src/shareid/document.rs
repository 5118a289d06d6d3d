//! A result document, member by member.

use super::contract::is_technical;
use crate::evidence::{ContentDigest, Verdict};
use crate::json::{Content, Kind, Object, Value};
use crate::provider::Reason;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A result as ShareID sends it, by fetch or by callback (`analysis-result-onboarding`). Borrows from the body; what is missing or of
/// another type than documented is `None` or empty.
///
/// The members of authenticate's result are not documented; those below are read wherever they stand.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    object: Object<'a>,
}

impl<'a> Document<'a> {
    /// A view of a body that was read.
    #[must_use]
    pub const fn new(object: Object<'a>) -> Self {
        Self { object }
    }

    /// `applicant_id`: the person's onboarding.
    #[must_use]
    pub fn applicant_id(&self) -> Option<Cow<'a, str>> {
        self.text("applicant_id")
    }

    /// `flow_id`: one authentication.
    #[must_use]
    pub fn flow_id(&self) -> Option<Cow<'a, str>> {
        self.text("flow_id")
    }

    /// `reasons`, judged.
    #[must_use]
    pub fn reasons(&self) -> Reasons<'a> {
        Reasons::of(self.object.get("reasons"))
    }

    /// `detail`: what stands in place of a result that is not ready, and in error answers. `null` counts as absent.
    #[must_use]
    pub fn detail(&self) -> Option<Value<'a>> {
        self.object.get("detail").filter(|detail| detail.kind() != Kind::Null)
    }

    /// `customer_data`: the application's own object. It comes in the callback only (R17), and whoever forges a callback chooses it.
    #[must_use]
    pub fn customer_data(&self) -> Option<Value<'a>> {
        self.object.get("customer_data")
    }

    /// `document`: what was read from the person's document.
    #[must_use]
    pub fn data(&self) -> DocumentData<'a> {
        DocumentData::of(self.object.get("document"))
    }

    /// Every member, those above included.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + '_ {
        self.object.iter()
    }

    /// The digest of what a revision is made of (R5): the sorted reasons, and `document` without its images.
    ///
    /// `customer_data` and the images exist in the callback only, so they stay out; ids name the verification and do not describe it;
    /// members that no document describes may change from answer to answer.
    #[must_use]
    pub fn content(&self) -> ContentDigest {
        let mut reasons: Vec<Cow<'a, str>> = self.reasons().values().filter_map(Value::text).collect();
        reasons.sort_unstable();
        let document = self.object.get("document");
        let is_image = |name: &str| Image::ALL.iter().any(|image| image.as_str() == name);
        let members = document.into_iter().flat_map(Value::members);
        let mut data: Vec<_> = members.filter(|(name, value)| !value.is_empty() && !is_image(name)).collect();
        data.sort_by(|(one, _), (other, _)| one.cmp(other));

        let mut content = Content::new("shareid");
        for reason in &reasons {
            content.text("reason");
            content.text(reason);
        }
        // No document knows reasons that are no texts; should they come, what they say counts and not how it is written.
        let mut others = self.reasons().values().filter(|reason| reason.text().is_none()).peekable();
        if others.peek().is_some() {
            content.text("reasons");
            content.set(others, |content, reason| content.value(Some(reason)));
        }
        content.text("document");
        for (name, value) in data {
            content.text(&name);
            content.value(Some(value));
        }
        content.finish()
    }

    pub(super) const fn object(&self) -> &Object<'a> {
        &self.object
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.object.get(name)?.nonempty_text()
    }
}

/// What `reasons` says. There is no other verdict in a ShareID result.
#[derive(Clone, Copy, Debug)]
pub enum Reasons<'a> {
    /// The member is missing.
    Missing,
    /// `null` or `[]`: accepted. Later documents write the empty list, earlier ones allow `null`.
    None,
    /// There are some: declined.
    Given(Value<'a>),
    /// Something that is neither: `{}`, `""`, a number, a list of nothing but `null`. Too much depends on it to guess.
    Unclear(Kind),
}

impl<'a> Reasons<'a> {
    fn of(member: Option<Value<'a>>) -> Self {
        let Some(value) = member else { return Self::Missing };
        match value.kind() {
            Kind::Null => Self::None,
            Kind::Array if value.is_empty() => Self::None,
            Kind::Array | Kind::Object | Kind::String if Self::Given(value).codes().next().is_some() => {
                Self::Given(value)
            }
            kind @ (Kind::Array | Kind::Object | Kind::String | Kind::Bool | Kind::Number) => {
                Self::Unclear(kind)
            }
        }
    }

    /// The verdict, where there is one. Accepted follows from `null` or an empty list alone: a person must not pass because a member is
    /// missing or broken.
    #[must_use]
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::None => Some(Verdict::Accepted),
            Self::Given(_) => Some(Verdict::Declined),
            Self::Missing | Self::Unclear(_) => None,
        }
    }

    /// The reasons as sent, in their order; those that are no text as their JSON. `null` and `""` are no reasons.
    pub fn codes(self) -> impl Iterator<Item = Cow<'a, str>> {
        self.values().map(|reason| match reason.text() {
            Some(text) => text,
            None => Cow::Borrowed(reason.raw()),
        })
    }

    fn values(self) -> impl Iterator<Item = Value<'a>> {
        let list = match self {
            Self::Given(list) => Some(list),
            Self::Missing | Self::None | Self::Unclear(_) => None,
        };
        list.into_iter().flat_map(Value::elements).filter(|reason| !reason.is_empty())
    }

    /// The reasons for handing over, each marked technical or not (R18).
    #[must_use]
    pub fn to_vec(self) -> Vec<Reason> {
        let reason = |code: Cow<'_, str>| Reason {
            technical: is_technical(&code),
            code: code.into_owned(),
            text: None,
            service: None,
        };
        self.codes().map(reason).collect()
    }

    /// What is wrong with the member, where something is.
    pub(super) fn problem(self) -> Option<String> {
        match self {
            Self::None | Self::Given(_) => None,
            Self::Missing => Some("`reasons` is missing, expected a list or null".to_string()),
            Self::Unclear(kind) => {
                let found = match kind {
                    Kind::Null => "null",
                    Kind::Bool => "a boolean",
                    Kind::Number => "a number",
                    Kind::String => "an empty string",
                    Kind::Array => "a list without any text in it",
                    Kind::Object => "an object without any text in it",
                };
                Some(alloc::format!(
                    "`reasons` is {found}, expected a list of reasons, an empty list or null"
                ))
            }
        }
    }
}

/// The member `document`: the kind of document, what was read from it, and images. It is looked through once, when it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DocumentData<'a> {
    whole: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    ocr: Option<Value<'a>>,
    images: [Option<Value<'a>>; 4],
}

impl<'a> DocumentData<'a> {
    fn of(member: Option<Value<'a>>) -> Self {
        let mut data = Self { whole: member, ..Self::default() };
        for (name, value) in member.into_iter().flat_map(Value::members) {
            match name.as_ref() {
                "type" => data.kind = Some(value),
                "ocr" => data.ocr = Some(value),
                name => {
                    let mut slots = Image::ALL.iter().zip(&mut data.images);
                    if let Some((_, slot)) = slots.find(|(image, _)| image.as_str() == name) {
                        *slot = Some(value);
                    }
                }
            }
        }
        data
    }

    /// `type.doc_type`: `id_card`, `passport`, `driver_permit`, `residency_permit`, or a later word.
    #[must_use]
    pub fn doc_type(&self) -> Option<Cow<'a, str>> {
        self.kind?.get("doc_type")?.nonempty_text()
    }

    /// `type.doc_model`: ShareID's own reference of the document's model.
    #[must_use]
    pub fn doc_model(&self) -> Option<Cow<'a, str>> {
        self.kind?.get("doc_model")?.nonempty_text()
    }

    /// `type.country_code`: two letters (ISO 3166-1), in lower case where the documents show one.
    #[must_use]
    pub fn country_code(&self) -> Option<Cow<'a, str>> {
        self.kind?.get("country_code")?.nonempty_text()
    }

    /// A documented field that was read from the document; `None` where it does not appear there.
    #[must_use]
    pub fn ocr(&self, field: OcrField) -> Option<Cow<'a, str>> {
        self.ocr?.get(field.as_str())?.nonempty_text()
    }

    /// Every field that was read from the document, with fields that no document lists.
    pub fn ocr_fields(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        self.ocr.into_iter().flat_map(Value::members)
    }

    /// An image in base64, where the start asked for images. It comes in the callback only (R17).
    #[must_use]
    pub fn image(&self, image: Image) -> Option<Cow<'a, str>> {
        let mut slots = Image::ALL.iter().zip(&self.images);
        slots.find(|(name, _)| **name == image).and_then(|(_, slot)| *slot)?.nonempty_text()
    }

    /// The whole member, for what this view does not name.
    #[must_use]
    pub const fn value(&self) -> Option<Value<'a>> {
        self.whole
    }
}

macro_rules! names {
    ($(#[$about:meta])* $kind:ident, $count:literal { $($(#[$doc:meta])* $variant:ident => $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $kind { $($(#[$doc])* $variant,)* }

        impl $kind {
            /// All of them.
            pub const ALL: [Self; $count] = [$(Self::$variant,)*];

            /// The member's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// A documented field of `document.ocr` (`analysis-result-onboarding`): text as it appears on the document, dates included. The
    /// documents do not say how dates are written.
    OcrField, 13 {
        /// The document's number.
        DocumentNumber => "doc_num",
        /// The family name.
        Surname => "surname",
        /// Another name.
        AlternateName => "alternate_name",
        /// The name of the late husband.
        WidowOf => "widow_of",
        /// The name by marriage; spelt with one `r`.
        MarriageName => "mariage_name",
        /// The given names.
        Name => "name",
        /// The height.
        Height => "height",
        /// The place of birth.
        BirthPlace => "birth_place",
        /// The date of birth.
        BirthDate => "birth_date",
        /// The address.
        Address => "address",
        /// When the document expires.
        ExpirationDate => "expiration_date",
        /// When the document was issued.
        IssuanceDate => "issuance_date",
        /// Where the document was issued.
        IssuancePlace => "issuance_place",
    }
}

names! {
    /// An image of `document` (`analysis-result-onboarding`).
    Image, 4 {
        /// The document's front.
        DocumentFront => "doc_front",
        /// The document's back.
        DocumentBack => "doc_back",
        /// The person's face.
        Face => "face_face",
        /// The face on the document.
        DocumentFace => "face_doc",
    }
}
