//! Our side of one callback.

use crate::laws::{Draw, Seen, Subject};
use idv_core::machine::Describe as _;
use idv_core::provider::Authenticity;
use idv_core::receipt::{Input, Policy, Receipt};
use idv_core::store::{CommitReceipt, MemoryStore, Record};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// See [`Receipt`].
#[derive(Debug)]
pub struct Subjected;

/// The number that every receipt here is started with.
pub(crate) const OP: u64 = 5;

/// A proof for the callback `op`, of a record that is new or not.
pub(crate) fn proof(op: u64, duplicate: bool) -> Option<CommitReceipt> {
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
    let mut journal = MemoryStore::new(1, 2);
    let first = CommitReceipt::obtain(&mut journal, op, &record);
    if duplicate { CommitReceipt::obtain(&mut journal, op, &record).ok() } else { first.ok() }
}

impl Subject for Subjected {
    type Machine = Receipt;

    fn policies() -> BoxedStrategy<Policy> {
        (1..50_u64, 1..2_999_u32)
            .prop_filter_map("a policy that the builder accepts", |(body_cap, answer_within)| {
                Policy::builder(body_cap).answer_within(Span::millis(answer_within)).build().ok()
            })
            .boxed()
    }

    fn start(policy: &Policy, now: Instant, _: &mut Draw) -> Receipt {
        Receipt::start(OP, now, policy)
    }

    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        use Authenticity::{Missing, Signed, Unsigned, Wrong};
        let op = if draw.chance(1, 8) { OP + 1 } else { OP };
        // Half of the inputs fit the state, so that runs get somewhere.
        let kind = match seen.machine.state() {
            "AwaitingHead" if draw.chance(1, 2) => 0,
            "Receiving" if draw.chance(1, 2) => 1 + draw.below(2),
            "Recording" | "Late" if draw.chance(1, 2) => 3 + draw.below(3),
            _ => draw.below(8),
        };
        match kind {
            0 => Input::Head {
                method_is_post: draw.chance(7, 8),
                media_type_is_json: draw.chance(3, 4),
                content_length: draw.chance(1, 4).then(|| u64::from(draw.below(60))),
            },
            1 => Input::Chunk { len: if draw.chance(1, 16) { u32::MAX } else { draw.below(20) } },
            2 => Input::Complete {
                authenticity: draw.one_of(&[Signed, Signed, Unsigned, Wrong, Missing]).unwrap_or(Signed),
                readable: draw.chance(3, 4),
            },
            3 => proof(op, draw.chance(1, 2)).map_or(Input::Tick, Input::Committed),
            4 => Input::StorageFailed { op },
            5 => Input::Disconnected,
            _ => Input::Tick,
        }
    }

    /// A receipt is never stored: it dies with its connection, and what survives is the record.
    fn through_serde(machine: &Receipt) -> Result<Receipt, serde_json::Error> {
        Ok(*machine)
    }
}
