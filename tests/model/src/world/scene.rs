//! The world of one session, as the search sees it.

use super::{Fate, Happening, Move, Run, World};
use crate::law::{Breach, Law};
use crate::rules::Rules;
use crate::search::{Scene, Witness};
use crate::story::Line;
use idv_core::session::End;

impl Scene for Rules {
    type State = World;
    type Happening = Happening;

    const KIND: &'static str = "session";

    const LAWS: &'static [Law] = &[
        Law::G1,
        Law::G2,
        Law::G3,
        Law::G4,
        Law::G5,
        Law::G6,
        Law::G7,
        Law::G9,
        Law::R1,
        Law::R2,
        Law::R3,
        Law::R4,
        Law::R5,
        Law::R6,
        Law::R7,
        Law::R8,
        Law::R9,
        Law::R10,
        Law::R11,
        Law::R12,
        Law::R14,
        Law::R16,
        Law::Machine,
    ];

    const WITNESSES: &'static [Witness<Self>] = &[
        ("a revision", |_, world| world.revisions() == 1),
        ("two revisions", |_, world| world.revisions() == 2),
        ("a verdict on a signature alone", |_, world| world.was_signed()),
        ("a recorded callback", |_, world| !world.journal.is_empty()),
        ("a superseded truth is replayed", |_, world| {
            world.posts[super::ATTACKER].is_some_and(|post| post.replays_the_past())
        }),
        ("it is reopened", |_, world| world.session.is_reopened()),
        ("it expires", |_, world| world.end() == Some(End::Expired)),
        ("it is watched to the end", |_, world| world.end() == Some(End::Watched)),
        ("it is refused", |_, world| world.end() == Some(End::Refused)),
        ("it is deleted", |_, world| world.end() == Some(End::Deleted)),
    ];

    fn name(&self) -> &'static str {
        self.name
    }

    fn beginnings(&self) -> Vec<String> {
        self.evidence.iter().map(|evidence| format!("{evidence:?}")).collect()
    }

    fn begin(&self, nth: usize, lines: Option<&mut Vec<Line>>) -> World {
        World::new(&mut Run { rules: self, lines }, self.evidence[nth])
    }

    fn happenings(&self, world: &World, out: &mut Vec<Happening>) {
        world.happenings(self, out);
        if out.is_empty() && world.broken.is_none() && !world.is_over(self) {
            out.push((Move::Stuck, Fate::Lives));
        }
    }

    fn bad_ending(&self, world: &World) -> Option<Happening> {
        Some((world.bad_ending(self)?, Fate::Lives))
    }

    fn looks_ahead(next: &Happening) -> bool {
        matches!(next.0, Move::EndWell(_))
    }

    fn happen(&self, world: &mut World, next: Happening, lines: Option<&mut Vec<Line>>) {
        world.happen(&mut Run { rules: self, lines }, next);
    }

    fn broken(world: &World) -> Option<Breach> {
        world.broken
    }

    fn panicked(world: &mut World) {
        world.broken = Some(Breach { law: Law::Machine, what: "a panic" });
    }
}
