//! `idv verify`: one signature, explained when it is wrong.

use crate::RuleArgument;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::secrets;
use idv_core::shufti::explain::{Change, Finding, TRIED, explain};
use idv_core::shufti::signature::{Rule, Verifier};
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;

/// How large a body this command reads, in bytes: four times what Shufti's callbacks are allowed.
const LARGEST_BODY: u64 = 16 << 20;

#[derive(clap::Args)]
#[command(after_help = "\
The secret comes from IDV_SHUFTI_SECRET_KEY (several separated by commas). Save the body's bytes as they were received: what was \
parsed and written again has another signature.

Exit codes: 0 the signature verifies, 1 it does not, 2 usage or configuration.

Example:
  IDV_SHUFTI_SECRET_KEY=… idv verify --body callback.json --signature d9b5eefa…")]
pub(crate) struct Arguments {
    /// The file with the raw body; - reads standard input.
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// The value of the header field Signature (or sp_signature).
    #[arg(long, value_name = "HEX")]
    signature: String,
    /// Which rule the account signs by.
    #[arg(long, value_enum, default_value = "either")]
    rule: RuleArgument,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let secrets = secrets::required_list("IDV_SHUFTI_SECRET_KEY")?;
    let body = read(&arguments.body)?;
    let rule = Rule::from(arguments.rule);
    let count = secrets.len();
    let verifier = Verifier::new(rule, secrets).map_err(Failure::usage)?;
    let finding = explain(&verifier, &arguments.signature, &body);
    let valid = matches!(finding, Finding::Valid { .. });
    if arguments.json {
        let (matched, changes) = match &finding {
            Finding::Valid { matched, .. } => (Some(matched), &[][..]),
            Finding::Fits { matched, changes } => (Some(matched), &changes[..]),
            Finding::Malformed { .. } | Finding::EmptyBody | Finding::Nothing => (None, &[][..]),
        };
        output::json(&json!({
            "valid": valid,
            "rule": matched.map(|matched| matched.rule.to_string()),
            "secret": matched.map(|matched| matched.secret + 1),
            "finding": finding.to_string(),
            "would_fit": changes.iter().map(Change::to_string).collect::<Vec<_>>(),
            "tried": if valid { &[][..] } else { &TRIED[..] },
            "bytes": body.len(),
        }));
    } else {
        output::line(format_args!("{finding}"));
        if !valid {
            output::line(format_args!("tried, with {count} secret(s) over {} bytes:", body.len()));
            for tried in TRIED {
                output::line(format_args!("  - {tried}"));
            }
        }
    }
    Ok(if valid { Exit::Done } else { Exit::Failed })
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST_BODY + 1).read_to_end(&mut body)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST_BODY + 1).read_to_end(&mut body))
    };
    result.map_err(|error| Failure::usage(format!("the body {} cannot be read: {error}", path.display())))?;
    if body.len() as u64 > LARGEST_BODY {
        return Err(Failure::usage(format!(
            "the body {} is larger than {} MiB; that is no callback",
            path.display(),
            LARGEST_BODY >> 20
        )));
    }
    Ok(body)
}
