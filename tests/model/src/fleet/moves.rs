//! What can happen next.

/// One thing that happens. A number names a verification, or an account; calls carry their own number behind it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// A millisecond passes.
    Elapse,
    /// A millisecond passes, and the host does not wake the fleet although it should.
    Oversleep,
    /// This pull is answered with the truth, or 429 if it came to a closed door: in time or late.
    Answer(u8, u8),
    /// This pull comes to nothing but this.
    Fail(u8, u8, Trouble),
    /// This request is answered with a token, or 429 if it came to a closed door: in time or late.
    Issue(u8, u8),
    /// This request comes to nothing but this.
    Withhold(u8, u8, Trouble),
    /// The provider ends the newest token of this account before its time.
    Revoke(u8),
    /// The provider reaches its verdict.
    Decide(u8),
    /// A callback about this verification arrives.
    Callback(u8, Word),
    /// Something is a reason to look at this verification when there is nothing else to do.
    Audit(u8),
    /// The application opens this verification.
    Open(u8),
    /// Somebody else calls the same provider, if the door allows it.
    Stranger,
    /// The credentials of this account are replaced.
    Replace(u8),
    /// The process dies and another one takes over what the store holds.
    Crash,
    /// Nothing can happen any more. Only shown when it is not over.
    Stuck,
    /// From here on everybody behaves well. Only shown when that does not end well.
    EndWell,
}

/// What a call comes to without what it was made for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trouble {
    /// Nothing usable.
    NoAnswer,
    /// 429 with a `Retry-After`.
    Limited,
    /// 429 without one.
    TooMany,
    /// 401.
    Refused,
}

/// Whose word a callback is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Word {
    /// Signed: something changed.
    Vouched,
    /// Nobody's.
    Claimed,
    /// Wrongly signed.
    Forged,
}
