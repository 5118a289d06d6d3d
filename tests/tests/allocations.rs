//! No step of any machine allocates.
//!
//! Each machine is walked at random, with time going on and now and then back, and with completions of the newest operation and of older
//! ones. What the walk itself needs is prepared before the counting starts.

use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::time::{Instant, Span};
use idv_core::{budget, delivery, lifecycle, token};

/// Deterministic draws (xorshift).
struct Draw {
    state: u64,
    /// The number of the newest operation that the machine named.
    newest: u32,
}

impl Draw {
    fn below(&mut self, bound: u32) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 32) as u32 % bound
    }

    fn span(&mut self, most: u32) -> Span {
        Span::millis(self.below(most))
    }

    /// Mostly the newest operation.
    fn op(&mut self) -> u32 {
        let back = self.below(8).saturating_sub(6);
        self.newest.saturating_sub(back)
    }
}

/// Walks a machine and returns how many allocations its steps made, and how many of them applied their input. A machine that is over
/// gets some more inputs, then another begins.
fn walk<M: Machine>(
    new: M,
    policy: &M::Policy,
    mut input: impl FnMut(&mut Draw) -> M::Input,
    mut op_of: impl FnMut(&M::Action) -> Option<u32>,
) -> (u64, u32) {
    let mut draw = Draw { state: 0x9e37_79b9_7f4a_7c15, newest: 0 };
    let mut now = Instant::from_millis(1_000_000);
    let (mut machine, mut applied) = (new, 0);
    let counted = allocation_counter::measure(|| {
        for _ in 0..20_000 {
            now =
                if draw.below(50) == 0 { now.before(draw.span(5_000)) } else { now.after(draw.span(5_000)) };
            let cx = Cx::new(now, policy, draw.below(u32::MAX));
            let step = machine.step(cx, input(&mut draw));
            applied += u32::from(step.disposition == Disposition::Applied);
            for action in step.actions.into_iter().chain(machine.outstanding(policy)) {
                draw.newest = op_of(&action).unwrap_or(draw.newest);
            }
            if machine.next(policy) == Next::Over && draw.below(8) == 0 {
                machine = new;
            }
            machine.map_times(|time| time);
        }
    });
    (counted.count_total, applied)
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn a_step_of_the_token_allocates_nothing() {
    use token::{Action, Input, Policy, Token};
    for builder in [Policy::reusable(Span::mins(10)), Policy::single_use(Span::mins(10))] {
        let policy = builder.build().unwrap();
        let input = |draw: &mut Draw| match draw.below(12) {
            0 => Input::Rejected { generation: draw.op() },
            1 => Input::Failed { op: draw.op(), retry_after: Some(draw.span(60_000)) },
            2 => Input::Refused { op: draw.op() },
            3 => Input::Taken { generation: draw.op() },
            4 if draw.below(50) == 0 => Input::Reset,
            5 | 6 => Input::Granted,
            7 | 8 => Input::Received { op: draw.op(), ttl: None },
            9 | 10 => Input::Wanted,
            _ => Input::Tick,
        };
        let op = |action: &Action| match *action {
            Action::Request { op, .. } => Some(op),
            Action::Ready { .. } | Action::Ask | Action::Refused => None,
        };
        let (allocations, applied) = walk(Token::new(), &policy, input, op);
        assert_eq!(allocations, 0);
        assert!(applied > 1_000, "only {applied} inputs counted: the walk is stuck");
    }
}

#[test]
fn a_step_of_the_budget_allocates_nothing() {
    use budget::{Budget, Input, Policy};
    let policy = Policy::per_window(20, Span::mins(1), 5).unwrap();
    let input = |draw: &mut Draw| match draw.below(30) {
        0 => Input::Close { span: draw.span(60_000) },
        1..20 => Input::Take,
        _ => Input::Tick,
    };
    let (allocations, applied) = walk(Budget::new(), &policy, input, |_| None);
    assert_eq!(allocations, 0);
    assert!(applied > 1_000, "only {applied} inputs counted: the walk is stuck");
}

#[test]
fn a_step_of_the_delivery_allocates_nothing() {
    use delivery::{Action, Cause, Delivery, Input, Policy};
    let input = |draw: &mut Draw| match draw.below(20) {
        0 if draw.below(10) == 0 => Input::Cancel,
        0 | 1 => Input::Answered { attempt: draw.op() as u8, status: 200 },
        2..5 => Input::Answered { attempt: draw.op() as u8, status: 500 },
        5..8 => Input::Failed { attempt: draw.op() as u8, cause: Cause::Unreachable },
        _ => Input::Tick,
    };
    let attempt = |action: &Action| match *action {
        Action::Post { attempt, .. } => Some(u32::from(attempt)),
        Action::Delivered { .. } | Action::Dead => None,
    };
    let (allocations, applied) = walk(Delivery::new(), &Policy::SHUFTI, input, attempt);
    assert_eq!(allocations, 0);
    assert!(applied > 1_000, "only {applied} inputs counted: the walk is stuck");
}

#[test]
fn a_step_of_the_lifecycle_allocates_nothing() {
    use lifecycle::{Channel, Event, Input, Lifecycle};
    let input = |draw: &mut Draw| match draw.below(20) {
        0 => Input::Tick,
        _ => Input::Seen {
            event: Event(draw.below(16) as u8),
            channel: if draw.below(2) == 0 { Channel::Status } else { Channel::Callback },
        },
    };
    let (allocations, applied) =
        walk(Lifecycle::new(), &idv_core::shufti::lifecycle::SHUFTI, input, |_| None);
    assert_eq!(allocations, 0);
    assert!(applied > 1_000, "only {applied} inputs counted: the walk is stuck");
}
