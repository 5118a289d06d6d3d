//! The providers' tables against their documents, and the lifecycle machine against a plain walk through a table.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::evidence::Verdict;
use idv_core::lifecycle::{Action, Channel, Deviation, Event, Input, Lifecycle, Meaning, Table};
use idv_core::machine::{Cx, Disposition, Machine};
use idv_core::shareid::lifecycle::SHAREID;
use idv_core::shufti::lifecycle::{self as shufti, SHUFTI};
use idv_core::time::Instant;
use proptest::prelude::*;
use std::collections::BTreeSet;

const TABLES: [&Table; 2] = [&SHUFTI, &SHAREID];
const CHANNELS: [Channel; 3] = [Channel::Http, Channel::Callback, Channel::Status];

/// Every event that can come after `from` by way of any number of others.
fn after(table: &Table, from: Option<Event>) -> BTreeSet<Event> {
    let mut found: BTreeSet<Event> = from.into_iter().collect();
    let mut open = vec![from];
    while let Some(from) = open.pop() {
        for (event, _) in table.events() {
            if table.follows(from, event) && found.insert(event) {
                open.push(Some(event));
            }
        }
    }
    found
}

proptest! {
    /// R19: whatever comes, wherever it comes, is taken in; only what the documents do not describe is reported, once each.
    #[test]
    fn r19_events_are_never_refused_and_deviations_are_exactly_those_of_the_table(
        table in (0..2_usize).prop_map(|index| TABLES[index]),
        seen in prop::collection::vec((0..16_u8, (0..3_usize).prop_map(|index| CHANNELS[index])), 0..40),
    ) {
        let mut lifecycle = Lifecycle::new();
        let mut stated: Option<Event> = None;
        for (event, channel) in seen {
            let event = Event(event);
            let step = lifecycle.step(Cx::new(Instant::EARLIEST, table, 0), Input::Seen { event, channel });
            let mut expected = Vec::new();
            let known = table.events().find(|(known, _)| *known == event).map(|(_, row)| row);
            if let Some(row) = known {
                let described = match channel {
                    Channel::Http => row.http,
                    Channel::Callback => row.callback,
                    Channel::Status => row.status,
                };
                if !described {
                    expected.push(Action::Deviation(Deviation::Channel { event, channel }));
                }
                if matches!(row.meaning, Meaning::Progress | Meaning::Verdict(_)) {
                    if !after(table, stated).contains(&event) {
                        expected.push(Action::Deviation(Deviation::Transition { from: stated, to: event }));
                    }
                    stated = Some(event);
                }
            }
            prop_assert_eq!(step.actions.into_iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(lifecycle.stated(), stated);
            let disposition = if known.is_some() { Disposition::Applied } else { Disposition::NoOp };
            prop_assert_eq!(step.disposition, disposition);
        }
    }
}

#[test]
fn tables_are_well_formed() {
    for table in TABLES {
        assert!(table.events.len() <= 32);
        let names: BTreeSet<&str> = table.events.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), table.events.len(), "a name twice");
        let transitions: BTreeSet<_> = table.transitions.iter().collect();
        assert_eq!(transitions.len(), table.transitions.len(), "a transition twice");
        for (event, row) in table.events() {
            assert_eq!(table.find(row.name), event);
            assert!(table.follows(Some(event), event), "{}: anything may be repeated", row.name);
            assert!(row.http || row.callback || row.status, "{} can come nowhere", row.name);
            let signal = row.meaning == Meaning::Signal;
            let reachable = after(table, None).contains(&event);
            assert_eq!(reachable, !signal, "{}: signals are no states, all others can be reached", row.name);
        }
        for (from, to) in table.transitions {
            assert!(table.row(*to).is_some() && from.is_none_or(|from| table.row(from).is_some()));
            assert_ne!(*from, Some(*to), "repetition needs no row");
        }
        for unknown in
            ["", "Request.Pending", "request.pending ", "verification.approved", "request.cancelled"]
        {
            assert_eq!(table.find(unknown), Event::UNKNOWN);
        }
        assert_eq!(table.row(Event::UNKNOWN), None);
        assert!(!table.reaches(None, Event::UNKNOWN) && !table.follows(None, Event::UNKNOWN));
    }
}

/// The table of events of `developers.shuftipro.com/docs/questionnaire/responses`: event, HTTP response, callback response.
#[test]
fn shufti_channels_are_those_of_the_providers_table() {
    let documented = [
        ("request.pending", true, true),
        ("request.invalid", true, false),
        ("verification.cancelled", true, true),
        ("request.timeout", false, true),
        ("request.unauthorized", true, false),
        ("verification.accepted", true, true),
        ("verification.declined", true, true),
        ("verification.status.changed", false, true),
        ("request.deleted", true, true),
        ("request.received", true, true),
        ("review.pending", true, true),
    ];
    for (name, http, callback) in documented {
        let row = SHUFTI.row(SHUFTI.find(name)).unwrap();
        assert_eq!((row.http, row.callback), (http, callback), "{name}");
    }
    assert_eq!(SHUFTI.events.len(), documented.len() + 1);
}

#[test]
fn shufti_verdicts_are_soft_and_deleted_is_final() {
    use shufti::{
        REQUEST_DELETED, REQUEST_PENDING, REVIEW_PENDING, VERIFICATION_ACCEPTED, VERIFICATION_DECLINED,
    };
    assert!(SHUFTI.follows(Some(VERIFICATION_ACCEPTED), VERIFICATION_DECLINED));
    assert!(SHUFTI.follows(Some(VERIFICATION_DECLINED), VERIFICATION_ACCEPTED));
    // A pull may miss what lay between, but nothing leads back.
    assert!(!SHUFTI.follows(None, REVIEW_PENDING) && SHUFTI.reaches(None, REVIEW_PENDING));
    assert!(!SHUFTI.reaches(Some(VERIFICATION_ACCEPTED), REQUEST_PENDING));
    for (event, row) in SHUFTI.events() {
        if row.meaning.states() {
            assert_eq!(SHUFTI.reaches(Some(REQUEST_DELETED), event), event == REQUEST_DELETED);
            assert!(SHUFTI.reaches(Some(event), REQUEST_DELETED));
        }
    }
    let verdicts: Vec<Verdict> = SHUFTI
        .events
        .iter()
        .filter_map(|row| match row.meaning {
            Meaning::Verdict(verdict) => Some(verdict),
            Meaning::Progress | Meaning::NotReady | Meaning::Refused | Meaning::Signal => None,
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Cancelled,
            Verdict::TimedOut,
            Verdict::Accepted,
            Verdict::Declined,
            Verdict::Deleted,
            Verdict::ReviewPending
        ]
    );
}

#[test]
fn r9_a_signal_never_becomes_the_state() {
    let mut lifecycle = Lifecycle::new();
    for name in ["verification.accepted", "verification.status.changed", "request.data.changed"] {
        let input = Input::Seen { event: SHUFTI.find(name), channel: Channel::Callback };
        let step = lifecycle.step(Cx::new(Instant::EARLIEST, &SHUFTI, 0), input);
        assert!(step.actions.is_empty());
        assert_eq!(lifecycle.stated(), Some(shufti::VERIFICATION_ACCEPTED));
    }
}

#[test]
fn a_table_draws_itself() {
    assert_eq!(
        SHAREID.mermaid(),
        "---\n\
         title: shareid lifecycle\n\
         ---\n\
         stateDiagram-v2\n    \
             state \"not_ready\" as e0\n    \
             state \"ready.accepted\" as e1\n    \
             state \"ready.declined\" as e2\n    \
             [*] --> e0\n    \
             [*] --> e1\n    \
             [*] --> e2\n    \
             e0 --> e1\n    \
             e0 --> e2\n"
    );
    let arrows = SHUFTI.mermaid().lines().filter(|line| line.contains("-->")).count();
    assert_eq!(arrows, SHUFTI.transitions.len());
}
