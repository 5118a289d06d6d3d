//! What the providers hold to be true of a verification, moment by moment, and the bodies in which they say so.

use crate::random::Random;
use idv_core::evidence::Verdict;
use idv_core::time::Span;

/// The kinds of accounts in the simulation. Each process has one of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// ShareID onboarding: a reusable token, unsigned callbacks, confirmed by pull.
    Onboarding,
    /// ShareID authenticate: another token behind the same limit; callbacks name the person as well.
    Authenticate,
    /// Shufti with HTTP Basic, confirmed by pull.
    Confirming,
    /// Shufti with a single-use token for each call; signed callbacks are trusted.
    Trusting,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Onboarding, Self::Authenticate, Self::Confirming, Self::Trusting];

    pub(crate) const fn is_shareid(self) -> bool {
        match self {
            Self::Onboarding | Self::Authenticate => true,
            Self::Confirming | Self::Trusting => false,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Onboarding => "ap-",
            Self::Authenticate => "flow-",
            Self::Confirming => "kyc-eu-",
            Self::Trusting => "kyc-us-",
        }
    }

    /// The id of a verification.
    pub(crate) fn id(self, number: u32) -> String {
        format!("{}{number:06}", self.prefix())
    }

    /// The number of the verification that an id names.
    pub(crate) fn number(id: &str) -> Option<u32> {
        id.rsplit_once('-')?.1.parse().ok()
    }
}

/// What the provider says of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The person has not finished.
    Pending,
    /// The documents are in.
    Received,
    /// Somebody must decide by hand.
    Review,
    Accepted,
    Declined,
    Cancelled,
    TimedOut,
    Deleted,
}

impl State {
    pub(crate) const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Pending | Self::Received => None,
            Self::Review => Some(Verdict::ReviewPending),
            Self::Accepted => Some(Verdict::Accepted),
            Self::Declined => Some(Verdict::Declined),
            Self::Cancelled => Some(Verdict::Cancelled),
            Self::TimedOut => Some(Verdict::TimedOut),
            Self::Deleted => Some(Verdict::Deleted),
        }
    }

    pub(crate) fn settles(self) -> bool {
        self.verdict().is_some_and(Verdict::settles)
    }

    const fn event(self) -> &'static str {
        match self {
            Self::Pending => "request.pending",
            Self::Received => "request.received",
            Self::Review => "review.pending",
            Self::Accepted => "verification.accepted",
            Self::Declined => "verification.declined",
            Self::Cancelled => "verification.cancelled",
            Self::TimedOut => "request.timeout",
            Self::Deleted => "request.deleted",
        }
    }
}

/// The provider's truth for a while. Two that are equal look alike, byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Truth {
    pub(crate) state: State,
    /// Which data the person's document holds; 0 where the state shows none.
    pub(crate) data: u8,
}

/// From when on something is true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Milliseconds since the simulation began.
    pub(crate) at: u64,
    pub(crate) truth: Truth,
}

/// Data that no provider ever had: what forgers write.
pub(crate) const FORGED: u8 = 99;

/// Everything that will be true of a verification created at `now`, in order.
pub(crate) fn invent(kind: Kind, now: u64, random: &mut Random) -> Box<[Turn]> {
    let mut turns = vec![Turn { at: now, truth: Truth { state: State::Pending, data: 0 } }];
    let mut at = now;
    let mut turn = |after: u64, state: State, data: u8| {
        at += after;
        turns.push(Turn { at, truth: Truth { state, data } });
    };
    let person = random.spread(Span::secs(20), Span::mins(16));
    match (kind.is_shareid(), random.below(100)) {
        // Nobody ever comes.
        (true, 0) => return turns.into(),
        (false, 0) => turn(3_600_000, State::TimedOut, 0),
        (false, 1..4) => turn(person, State::Cancelled, 0),
        (false, 4..8) => {
            turn(person, State::Review, 1);
            turn(random.spread(Span::mins(1), Span::hours(8)), decision(random), 1);
        }
        (false, 8..40) => {
            turn(person, State::Received, 0);
            turn(random.between(5_000, 60_000), decision(random), 1);
        }
        _ => turn(person, decision(random), 1),
    }
    let Some(Truth { state: first @ (State::Accepted | State::Declined), .. }) =
        turns.last().map(|turn| turn.truth)
    else {
        return turns.into();
    };
    let other = if first == State::Accepted { State::Declined } else { State::Accepted };
    let mut at = turns.last().map_or(now, |turn| turn.at);
    let mut later = |random: &mut Random, most: Span, state: State, data: u8| {
        at += random.spread(Span::secs(5), most);
        turns.push(Turn { at, truth: Truth { state, data } });
    };
    match random.below(100) {
        // Revised after the end, some of them back again: the same bytes as before.
        0..4 => later(random, Span::hours(36), other, 1),
        4..6 => {
            later(random, Span::hours(30), other, 1);
            later(random, Span::hours(10), first, 1);
        }
        // Somebody corrects the data.
        6..8 => later(random, Span::hours(20), first, 2),
        8 if !kind.is_shareid() => later(random, Span::hours(30), State::Deleted, 0),
        _ => {}
    }
    turns.into()
}

fn decision(random: &mut Random) -> State {
    if random.happens(750) { State::Accepted } else { State::Declined }
}

/// What a callback says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Says {
    /// What is true since this turn.
    Turn(u8),
    /// That something changed with this turn, not what (Shufti).
    Changed(u8),
    /// What somebody made up.
    Forgery(State),
}

/// How the change to `turn` is announced, if it is.
pub(crate) fn announcement(kind: Kind, turns: &[Turn], turn: u8) -> Option<Says> {
    let now = turns.get(usize::from(turn))?.truth.state;
    let before = turns.get(usize::from(turn.checked_sub(1)?))?.truth.state;
    let is_revised = before.settles() && now.settles() && now != State::Deleted;
    Some(if !kind.is_shareid() && is_revised { Says::Changed(turn) } else { Says::Turn(turn) })
}

/// Where a body goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Road {
    Answer,
    Callback,
}

/// The body that states this; `None` for a ShareID verification without a result.
pub(crate) fn body(kind: Kind, number: u32, truth: Truth, road: Road) -> Option<Vec<u8>> {
    let id = kind.id(number);
    if kind.is_shareid() {
        let reasons = match truth.state {
            State::Accepted => "[]",
            State::Declined => r#"["doc_spoof"]"#,
            State::Pending
            | State::Received
            | State::Review
            | State::Cancelled
            | State::TimedOut
            | State::Deleted => return None,
        };
        let data = truth.data;
        let ids = match kind {
            // Two authentications of one person.
            Kind::Authenticate => format!(r#""flow_id":"{id}","applicant_id":"person-{}""#, number / 2),
            Kind::Onboarding | Kind::Confirming | Kind::Trusting => format!(r#""applicant_id":"{id}""#),
        };
        let own = if road == Road::Callback { r#","customer_data":{"cart":7}"# } else { "" };
        let body = format!(
            r#"{{{ids},"reasons":{reasons},"document":{{"type":{{"doc_type":"passport","country_code":"fr"}},"ocr":{{"doc_num":"D-{data}","name":"ZOÉ","birth_date":"01.01.1990"}}}}{own}}}"#
        );
        return Some(body.into_bytes());
    }
    let event = truth.state.event();
    let data = truth.data;
    let findings = match truth.state {
        State::Accepted => format!(
            r#","verification_result":{{"face":{{"face":1}},"document":{{"document":1,"name":1}}}},"verification_data":{{"document":{{"document_number":"D-{data}","name":{{"first_name":"Zo\u00e9"}}}}}}"#
        ),
        State::Declined => format!(
            r#","verification_result":{{"face":1,"document":{{"document":0,"name":1}}}},"verification_data":{{"document":{{"document_number":"D-{data}","name":{{"first_name":"Zo\u00e9"}}}}}},"declined_codes":["SPDR06"],"services_declined_codes":{{"document":["SPDR06"]}}"#
        ),
        State::Review => format!(r#","verification_data":{{"document":{{"document_number":"D-{data}"}}}}"#),
        State::Pending | State::Received | State::Cancelled | State::TimedOut | State::Deleted => {
            String::new()
        }
    };
    let road = match road {
        Road::Answer => r#","country":"GB","proofs":{"face":{"proof":"https:\/\/p.example\/1.png"}}"#,
        Road::Callback => r#","email":"zoe@example.org","country":"GB""#,
    };
    Some(format!(r#"{{"reference":"{id}","event":"{event}"{road}{findings}}}"#).into_bytes())
}

/// The body of a callback.
pub(crate) fn callback_body(kind: Kind, number: u32, says: Says, turns: &[Turn]) -> Option<Vec<u8>> {
    let truth = |turn: u8| turns.get(usize::from(turn)).map(|turn| turn.truth);
    match says {
        Says::Turn(turn) => body(kind, number, truth(turn)?, Road::Callback),
        Says::Forgery(state) => body(kind, number, Truth { state, data: FORGED }, Road::Callback),
        Says::Changed(turn) => {
            let same = truth(turn)?.state == truth(turn.checked_sub(1)?)?.state;
            let event = if same { "request.data.changed" } else { "verification.status.changed" };
            Some(format!(r#"{{"reference":"{}","event":"{event}"}}"#, kind.id(number)).into_bytes())
        }
    }
}

/// Which data a body holds.
pub(crate) fn data_in(body: &[u8]) -> u8 {
    let marked = body.windows(3).position(|part| part == b"\"D-");
    let digits = marked.and_then(|at| body.get(at + 3..)).unwrap_or_default();
    digits
        .iter()
        .take_while(|digit| digit.is_ascii_digit())
        .fold(0, |sum: u8, digit| sum.wrapping_mul(10).wrapping_add(digit - b'0'))
}
