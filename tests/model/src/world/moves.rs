//! What can happen next, and what a provider can hold.

use idv_core::evidence::{ContentDigest, Report, Verdict};

/// What the provider holds about the verification: a verdict with its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Truth {
    /// The provider is at work.
    Pending,
    /// Somebody at the provider must decide by hand.
    Review,
    /// The person passed.
    Accepted,
    /// The person passed, and what is known about them has changed.
    AcceptedAnew,
    /// The person did not pass.
    Declined,
    /// The person called it off.
    Cancelled,
    /// The person did not finish in time.
    TimedOut,
    /// The provider deleted it; nothing follows.
    Deleted,
}

impl Truth {
    /// The verdict, and the digest of the content: a number of its own for every truth.
    #[must_use]
    pub const fn report(self) -> Option<Report> {
        let verdict = match self {
            Self::Pending => return None,
            Self::Review => Verdict::ReviewPending,
            Self::Accepted | Self::AcceptedAnew => Verdict::Accepted,
            Self::Declined => Verdict::Declined,
            Self::Cancelled => Verdict::Cancelled,
            Self::TimedOut => Verdict::TimedOut,
            Self::Deleted => Verdict::Deleted,
        };
        Some(Report { verdict: Some(verdict), content: ContentDigest(self as u64) })
    }
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// A millisecond passes.
    Elapse,
    /// The host wakes the session, in time or late.
    Tick,
    /// Budget and token allow the pull that the session asks for.
    Grant,
    /// The answer to this pull arrives, in time or late. It tells the truth of some moment since the pull was sent: the one with this
    /// index in the provider's history.
    Answer(u8, u8),
    /// The same, and the host will tell it to the session once more later.
    AnswerTwice(u8, u8),
    /// The pull brings no answer but this.
    Fail(u8, Failure),
    /// The provider changes its mind, and has a callback to send.
    Change(Truth),
    /// The replica that answers pulls catches up with the provider's mind.
    CatchUp,
    /// The callback that the provider posted arrives at the listener.
    Arrive(u8),
    /// The store has committed the callback's record.
    Commit(u8),
    /// The same, but what the listener answers is lost on its way.
    CommitUnheard(u8),
    /// The store cannot commit the callback's record.
    StoreFails(u8),
    /// Somebody sends a callback that the provider does not send now.
    Attack(Attack),
    /// The application has this revision, and says so: in time, late, twice or too early.
    HandedOver(u8),
    /// The application was offered this revision often enough.
    DeadLettered(u8),
    /// The reply to the request that created the verification told the truth already.
    Created,
    /// Somebody wants a pull.
    Hint,
    /// The application opens the verification once more.
    OpenAgain,
    /// The token request was refused for good.
    CredentialsRefused,
    /// The application wants no more.
    Cancel,
    /// The process dies and another one takes over what the store holds.
    Crash,
    /// Nothing can happen any more. Only shown when it is not over.
    Stuck,
    /// From here on everybody behaves well, and this is the last that the session is told from outside. Only shown when that does not end
    /// well.
    EndWell(LastWord),
}

/// What a pull comes to without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// Nothing usable: a 5xx, a broken connection, the client's own limit. What the server makes may still arrive.
    NoAnswer,
    /// 429 with this `Retry-After`, in milliseconds.
    Limited(u8),
    /// 401.
    Refused,
}

/// A callback of an attacker, or of a network that repeats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Attack {
    /// The genuine, signed callback that the provider made when its history had this index.
    Replay(u8),
    /// A claim that nobody vouches for, where the provider does not sign.
    Unsigned,
    /// A claim with a wrong signature.
    WronglySigned,
}

/// What the session is told from outside before all goes well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LastWord {
    /// Nothing.
    Silence,
    /// The provider's callback about its newest truth.
    News,
    /// A callback with a wrong signature.
    Forgery,
}

/// What becomes of our process when it takes the move in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It lives.
    Lives,
    /// It dies after the session's step, before its save.
    DiesBeforeSave,
    /// It dies after the save, before the step's actions.
    DiesAfterSave,
}

/// A move and what becomes of our process.
pub type Happening = (Move, Fate);
