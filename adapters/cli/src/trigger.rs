//! `idv trigger`: one callback, signed like a provider's, to any URL.

use crate::RuleArgument;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::secrets;
use idv_core::shufti::signature::Rule;
use idv_sandbox::callback::{OneOff, Voucher};
use idv_sandbox::{Key, Provider, SignatureHeader};
use idv_ureq::Client;
use serde_json::json;

#[derive(clap::Args)]
#[command(after_help = "\
A Shufti callback is signed with IDV_SHUFTI_SECRET_KEY (the first of several). A ShareID callback (events ready.accepted and \
ready.declined) carries IDV_SHAREID_CALLBACK_BEARER where that is set.

Exit codes: 0 every post was answered 200 within 3000 ms, 1 one was not, 2 usage or configuration.

Examples:
  IDV_SHUFTI_SECRET_KEY=… idv trigger verification.accepted --to http://127.0.0.1:8787/callbacks/shufti --id my-reference
  idv trigger ready.declined --code doc_spoof --to http://127.0.0.1:8787/callbacks/shareid")]
pub(crate) struct Arguments {
    /// The event: one of the provider's, or any other word.
    event: String,
    /// Where to.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The verification it names.
    #[arg(long, value_name = "ID", default_value = "idv-trigger-1")]
    id: String,
    /// A declined code or reason; may be repeated.
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<String>,
    /// Which rule signs it.
    #[arg(long, value_enum, default_value = "after")]
    rule: RuleArgument,
    /// How often the same bytes are sent.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Sign with a key that no account has.
    #[arg(long)]
    wrong_key: bool,
    /// Send no signature at all.
    #[arg(long, conflicts_with = "wrong_key")]
    unsigned: bool,
    /// Print one JSON object for each post.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let provider = if arguments.event.starts_with("ready.") { Provider::Shareid } else { Provider::Shufti };
    let key = match (arguments.wrong_key, arguments.unsigned) {
        (true, _) => Key::Wrong,
        (false, true) => Key::None,
        (false, false) => Key::Right,
    };
    let voucher = match provider {
        Provider::Shareid => match secrets::optional("IDV_SHAREID_CALLBACK_BEARER")? {
            Some(bearer) => Voucher::Bearer(bearer),
            None => Voucher::Nothing,
        },
        Provider::Shufti => {
            let secret = match key {
                // Not used, but it must be something.
                Key::Wrong | Key::None => "unused".into(),
                Key::Right => secrets::required_list("IDV_SHUFTI_SECRET_KEY")?.swap_remove(0),
            };
            let rule = match Rule::from(arguments.rule) {
                Rule::Before => Rule::Before,
                Rule::After | Rule::Either => Rule::After,
            };
            Voucher::Signature { rule, header: SignatureHeader::Signature, secret }
        }
    };
    let one_off = OneOff {
        provider,
        id: arguments.id.clone(),
        event: arguments.event.clone(),
        codes: arguments.codes.clone(),
        to: arguments.to.clone(),
        voucher,
        key,
        times: arguments.times,
    };
    let posts = one_off.post(&Client::new()).map_err(Failure::usage)?;
    for (number, post) in (1..).zip(&posts) {
        let milliseconds = post.took.as_millis() as u64;
        let (status, problem) = match &post.answer {
            Ok(status) => (Some(*status), None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        if arguments.json {
            output::json(&json!({
                "post": number,
                "status": status,
                "milliseconds": milliseconds,
                "delivered": post.is_delivered(),
                "problem": problem,
            }));
        } else {
            match (status, problem) {
                (Some(status), _) => {
                    output::line(format_args!("post {number}: {status} after {milliseconds} ms"))
                }
                (None, problem) => {
                    output::line(format_args!("post {number}: {}", problem.unwrap_or_default()))
                }
            }
        }
    }
    let delivered = posts.iter().all(idv_sandbox::callback::Posted::is_delivered);
    Ok(if delivered { Exit::Done } else { Exit::Failed })
}
