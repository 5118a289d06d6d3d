use super::{AsyncJournal, Journal, Record};

/// The store's proof that a callback is durable; the only thing a 200 can be built from (G5).
///
/// The type system proves: whoever holds one has had a journal's commit return `Ok`, for a record under this operation number,
/// in this process. There is no other constructor, no default, no way to read one from bytes, and the journal itself cannot make
/// one. It cannot prove that the journal is durable (any type may implement the trait; [`super::MemoryStore`] says plainly that it
/// is not), nor that the record held this callback's bytes. Against a mix-up between callbacks the receipt machine compares the
/// operation number and takes no other callback's proof.
///
/// ```
/// use idv_core::provider::Authenticity;
/// use idv_core::receipt::Answer;
/// use idv_core::store::{CommitReceipt, MemoryStore, Record};
///
/// let mut journal = MemoryStore::new(100, 1_000_000);
/// let record = Record {
///     provider: "shufti",
///     digest: [7; 32],
///     authenticity: Authenticity::Signed,
///     id: None,
///     event: None,
///     remark: None,
///     received_unix_ms: 0,
///     body: b"{}",
/// };
/// let receipt = CommitReceipt::obtain(&mut journal, 1, &record)?;
/// assert_eq!(Answer::recorded(&receipt).status(), 200);
/// # Ok::<(), idv_core::store::TooLarge>(())
/// ```
///
/// It has no public fields:
///
/// ```compile_fail,E0451
/// use idv_core::store::CommitReceipt;
/// let forged = CommitReceipt { op: 1, position: 1, duplicate: false };
/// ```
///
/// and a [`super::Commit`], which any journal can make up, is not enough:
///
/// ```compile_fail,E0308
/// use idv_core::receipt::Answer;
/// use idv_core::store::Commit;
/// let forged = Answer::recorded(&Commit { position: 1, duplicate: false });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CommitReceipt {
    op: u64,
    position: u64,
    duplicate: bool,
}

impl CommitReceipt {
    /// Commits `record` for the callback `op` and returns the proof.
    ///
    /// # Errors
    /// What the journal says; there is no proof, and the callback is answered 503.
    pub fn obtain<J: Journal + ?Sized>(
        journal: &mut J,
        op: u64,
        record: &Record<'_>,
    ) -> Result<Self, J::Error> {
        let commit = journal.commit(record)?;
        Ok(Self { op, position: commit.position, duplicate: commit.duplicate })
    }

    /// As [`CommitReceipt::obtain`], from a store that does not block.
    ///
    /// # Errors
    /// As [`CommitReceipt::obtain`].
    pub async fn obtain_async<J: AsyncJournal>(
        journal: &mut J,
        op: u64,
        record: &Record<'_>,
    ) -> Result<Self, J::Error> {
        let commit = journal.commit(record).await?;
        Ok(Self { op, position: commit.position, duplicate: commit.duplicate })
    }

    /// The callback it belongs to: the number its receipt was started with.
    #[must_use]
    pub const fn op(&self) -> u64 {
        self.op
    }

    /// Where the record stands in the journal.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether the same bytes had been recorded before.
    #[must_use]
    pub const fn duplicate(&self) -> bool {
        self.duplicate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Authenticity;
    use crate::store::{Commit, MemoryStore, TooLarge};
    use core::future::poll_fn;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    /// A store that commits at the second poll.
    struct Slow(MemoryStore);

    impl AsyncJournal for Slow {
        type Error = TooLarge;

        async fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
            let mut polled = false;
            poll_fn(|_| if core::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
            Journal::commit(&mut self.0, record)
        }
    }

    #[test]
    fn g5_an_async_store_gives_the_proof_only_once_it_has_committed() {
        let record = Record {
            provider: "shufti",
            digest: [1; 32],
            authenticity: Authenticity::Signed,
            id: None,
            event: None,
            remark: None,
            received_unix_ms: 0,
            body: b"{}",
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut store = Slow(MemoryStore::new(1, 2));
        let mut obtaining = pin!(CommitReceipt::obtain_async(&mut store, 9, &record));
        assert!(obtaining.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(Ok(proof)) = obtaining.as_mut().poll(&mut cx) else { panic!("not committed") };
        assert_eq!((proof.op(), proof.position(), proof.duplicate()), (9, 1, false));

        let mut full = Slow(MemoryStore::new(1, 1));
        let mut obtaining = pin!(CommitReceipt::obtain_async(&mut full, 9, &record));
        assert!(obtaining.as_mut().poll(&mut cx).is_pending());
        assert!(matches!(obtaining.as_mut().poll(&mut cx), Poll::Ready(Err(TooLarge { .. }))));
    }
}
