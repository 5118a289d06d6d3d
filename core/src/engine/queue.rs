//! An engine whose tasks wait in a queue, for loops that take one after another.
//!
//! ```text
//!          ┌──▶ Turn::Task ──▶ do it ──▶ Queue::complete ──┐
//!   next ──┤                                               ├──▶ next
//!          └──▶ Turn::Wait ──▶ sleep until then, or wait for an input ──┘
//! ```

use super::{Completion, Engine, Moment, Task};
use crate::fleet::Wake;
use crate::time::Instant;
use alloc::collections::VecDeque;

/// How many steps an engine takes before its first task is looked at.
const WORK: u32 = 64;

/// An engine and the tasks that it asked for, oldest first. See the module's text.
#[derive(Debug)]
pub struct Queue {
    engine: Engine,
    tasks: VecDeque<Task>,
}

/// What a loop does next.
#[must_use = "do it"]
#[derive(Debug)]
pub enum Turn {
    /// This; then complete it where it has a completion, and come back.
    Task(Task),
    /// Nothing before this moment, or, without one, before an input.
    Wait(Option<Instant>),
}

impl Queue {
    /// This engine, with nothing waiting.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine, tasks: VecDeque::new() }
    }

    /// Gives the engine an input: `input` calls the method meant with the sink that it gets.
    pub fn input<T>(&mut self, input: impl FnOnce(&mut Engine, &mut dyn FnMut(Task)) -> T) -> T {
        let Self { engine, tasks } = self;
        input(engine, &mut |task| tasks.push_back(task))
    }

    /// The oldest task; where none waits, the engine runs, and says how long there is nothing to do.
    pub fn next(&mut self, moment: Moment) -> Turn {
        loop {
            if let Some(task) = self.tasks.pop_front() {
                return Turn::Task(task);
            }
            let wake = self.input(|engine, tasks| engine.run(moment, WORK, tasks));
            match wake {
                // A task of this run is due before the sleep.
                Wake::More => {}
                Wake::At(_) | Wake::Input if !self.tasks.is_empty() => {}
                Wake::At(at) => return Turn::Wait(Some(at)),
                Wake::Input => return Turn::Wait(None),
            }
        }
    }

    /// A task came to its end.
    pub fn complete(&mut self, moment: Moment, completion: Completion) {
        self.input(|engine, tasks| engine.complete(moment, completion, tasks));
    }

    /// The engine, to be asked.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }
}
