//! The world of a fleet, as the search sees it.

use super::{Move, Rules, Run, World};
use crate::law::{Breach, Law};
use crate::search::{Scene, Witness};
use crate::story::Line;
use idv_core::session::End;

impl Scene for Rules {
    type State = World;
    type Happening = Move;

    const KIND: &'static str = "fleet";

    const LAWS: &'static [Law] = &[
        Law::G1,
        Law::G2,
        Law::G4,
        Law::G6,
        Law::G7,
        Law::G9,
        Law::R3,
        Law::R11,
        Law::R12,
        Law::R13,
        Law::R14,
        Law::R15,
        Law::Machine,
    ];

    const WITNESSES: &'static [Witness<Self>] = &[
        ("two verdicts", |_, world| world.cases.iter().filter(|case| case.told > 0).count() == 2),
        ("a token is used", |_, world| {
            world.bearers.iter().any(|bearer| bearer.held.is_some_and(|held| held.used))
        }),
        ("a second token", |_, world| {
            world.bearers.iter().any(|bearer| bearer.held.is_some_and(|held| held.generation > 1))
        }),
        ("credentials are refused", |_, world| world.bearers.iter().any(|bearer| bearer.refused)),
        ("a session is refused alone", |_, world| {
            world.cases.iter().any(|case| case.end == Some(End::Refused))
                && world.cases.iter().any(|case| case.told > 0)
        }),
        ("the door is closed while two wait", |_, world| {
            world.gate.told_until > super::NOW && world.queue.len() > 1
        }),
        ("a new process calls at a closed door", |_, world| {
            world.cases.iter().any(|case| case.calls.iter().any(|call| call.limited))
        }),
        ("a restart costs a burst", |searched, world| world.gate.is_crowded(searched.scene())),
        ("a callback that nobody knows is kept", |_, world| !world.early.is_empty()),
    ];

    fn name(&self) -> &'static str {
        self.name
    }

    fn beginnings(&self) -> Vec<String> {
        vec!["opened".into()]
    }

    fn begin(&self, _: usize, lines: Option<&mut Vec<Line>>) -> World {
        World::new(&mut Run { rules: self, lines })
    }

    fn happenings(&self, world: &World, out: &mut Vec<Move>) {
        world.happenings(self, out);
        if out.is_empty() && world.broken.is_none() && !world.is_over() && !world.is_awaiting() {
            out.push(Move::Stuck);
        }
    }

    fn bad_ending(&self, world: &World) -> Option<Move> {
        world.bad_ending(self)
    }

    fn looks_ahead(next: &Move) -> bool {
        *next == Move::EndWell
    }

    fn happen(&self, world: &mut World, next: Move, lines: Option<&mut Vec<Line>>) {
        world.happens(&mut Run { rules: self, lines }, next);
    }

    fn broken(world: &World) -> Option<Breach> {
        world.broken
    }

    fn panicked(world: &mut World) {
        world.broken = Some(Breach { law: Law::Machine, what: "a panic" });
    }
}
