//! No step of any machine allocates.

use idv_core::machine::{Disposition, Machine};
use idv_tests::laws::{Subject, each_step};
use idv_tests::subjects::{budget, delivery, lifecycle, poller, receipt, session, token};

/// Counts what the machine allocates in every step of the random runs that the laws are held against. Only the step and the questions a
/// driver asks are counted, not what makes the inputs.
fn allocations<S: Subject>() -> Result<u64, String> {
    let (mut allocations, mut applied) = (0, 0);
    each_step::<S>(300, |mut machine, cx, input| {
        let counted = allocation_counter::measure(|| {
            let step = machine.step(cx, input);
            applied += u32::from(step.disposition == Disposition::Applied);
            std::hint::black_box((machine.next(cx.policy), machine.outstanding(cx.policy)));
            machine.map_times(|time| time);
        });
        allocations += counted.count_total;
    })?;
    assert!(applied > 100, "only {applied} inputs were taken in: the runs are stuck");
    Ok(allocations)
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn a_step_of_the_token_allocates_nothing() {
    assert_eq!(allocations::<token::Subjected>(), Ok(0));
}

#[test]
fn a_step_of_the_budget_allocates_nothing() {
    assert_eq!(allocations::<budget::Subjected>(), Ok(0));
}

#[test]
fn a_step_of_the_delivery_allocates_nothing() {
    assert_eq!(allocations::<delivery::Subjected>(), Ok(0));
}

#[test]
fn a_step_of_the_lifecycle_allocates_nothing() {
    assert_eq!(allocations::<lifecycle::Subjected>(), Ok(0));
}

#[test]
fn a_step_of_the_receipt_allocates_nothing() {
    assert_eq!(allocations::<receipt::Subjected>(), Ok(0));
}

#[test]
fn a_step_of_the_poller_allocates_nothing() {
    assert_eq!(allocations::<poller::Subjected>(), Ok(0));
}

#[test]
fn a_step_of_the_session_allocates_nothing() {
    assert_eq!(allocations::<session::Subjected>(), Ok(0));
}
