//! `idv diagram`: the machines, drawn from their own tables.

use crate::exit::{Exit, Failure};
use crate::output;
use idv_core::budget::Budget;
use idv_core::delivery::Delivery;
use idv_core::machine::{Describe, mermaid};
use idv_core::poller::Poller;
use idv_core::receipt::Receipt;
use idv_core::session::Session;
use idv_core::token::Token;
use idv_core::{shareid, shufti};

#[derive(clap::Args)]
#[command(after_help = "\
The machines: token, poller, budget, receipt, delivery, session, lifecycle-shareid, lifecycle-shufti.
One is printed as Mermaid, all of them as Markdown with a Mermaid block each.

Exit codes: 0 drawn, 2 there is no such machine.

Example:
  idv diagram > MACHINES.md")]
pub(crate) struct Arguments {
    /// Which machine, or a provider's lifecycle; all of them when none is named
    machine: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let diagrams = diagrams();
    let Some(wanted) = &arguments.machine else {
        // A Mermaid text holds one diagram; a Markdown text holds them all.
        for (name, diagram) in diagrams {
            output::block(&format!("## {name}\n\n```mermaid\n{}\n```\n", diagram.trim_end()));
        }
        return Ok(Exit::Done);
    };
    match diagrams.iter().find(|(name, _)| name == wanted) {
        Some((_, diagram)) => {
            output::block(diagram.trim_end());
            Ok(Exit::Done)
        }
        None => {
            let names: Vec<&str> = diagrams.iter().map(|(name, _)| *name).collect();
            Err(Failure::usage(format!("there is no machine `{wanted}`; there are: {}", names.join(", "))))
        }
    }
}

fn diagrams() -> [(&'static str, String); 8] {
    [
        drawn::<Token>(),
        drawn::<Poller>(),
        drawn::<Budget>(),
        drawn::<Receipt>(),
        drawn::<Delivery>(),
        drawn::<Session>(),
        ("lifecycle-shareid", shareid::lifecycle::SHAREID.mermaid()),
        ("lifecycle-shufti", shufti::lifecycle::SHUFTI.mermaid()),
    ]
}

fn drawn<M: Describe>() -> (&'static str, String) {
    (M::NAME, mermaid(M::NAME, M::TRANSITIONS))
}
